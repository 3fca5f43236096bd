"""Labelling frames of one's own: which ones, with a proposal for each, and the corrections read back."""
