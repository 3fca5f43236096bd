"""`desert-seg info`: what a model artifact is."""
