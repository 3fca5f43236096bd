"""`desert-seg view`: a recording and what a model makes of it, frame by frame, in the Rerun viewer."""
