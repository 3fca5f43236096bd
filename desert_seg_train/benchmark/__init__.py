"""`desert-seg benchmark`: a model judged on a labelled folder, as a report with every number and figure."""
