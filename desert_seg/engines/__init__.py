"""Inference engines: one small file per backend, one protocol. See `desert_seg.engines.engine`."""
