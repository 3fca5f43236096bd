"""Judging a model on a labelled folder: every number of it, and the report that shows them."""
