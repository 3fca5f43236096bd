"""`desert-seg train`: a network learns from labelled folders."""
