"""`desert-seg calibrate`: how sure a model may be, what it does not know, and what its own frames look like."""
