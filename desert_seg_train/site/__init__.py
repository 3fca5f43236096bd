"""`desert-seg site`: from a recording of a new place to a model that knows it, in one command."""
