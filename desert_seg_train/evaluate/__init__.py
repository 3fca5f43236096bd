"""`desert-seg evaluate`: a model judged on a labelled folder, and where all its numbers come from."""
