"""`desert-seg adapt`: a model learns a few frames of another place."""
