"""Everything that only a GPU can prove, in one go: what `make gpu` runs. See docs/gpu.md.

Runs on a CPU, too, which is how it is tested. Imports of torch stay in the modules whose lines need it.
"""
