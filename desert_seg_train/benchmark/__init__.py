"""`desert-seg benchmark`: evaluates a model on a labelled folder, as a report with all numbers and figures."""
