"""`desert-seg consumers`: configuration for programs that read the masks."""
