"""`desert-seg inspect`: the faults of a dataset folder, its content, and its distance from another one."""
