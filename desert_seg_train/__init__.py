"""desert_seg_train: everything that makes or judges a model. Needs torch; a robot does not need this package."""

import desert_seg  # noqa: F401 - before any module imports a library that would report its use
