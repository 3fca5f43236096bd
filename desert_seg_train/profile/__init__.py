"""`desert-seg profile`: where the time of a frame goes."""
