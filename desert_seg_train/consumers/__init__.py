"""`desert-seg consumers`: configuration for whoever reads the masks."""
