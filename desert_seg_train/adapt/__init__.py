"""`desert-seg adapt`: fine-tunes a model on a few frames of a new place."""
