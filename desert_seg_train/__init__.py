"""desert_seg_train: everything that makes or judges a model. Needs torch; a robot does not need this package."""
