"""`desert-seg inspect`: what is wrong with a dataset folder, what is in it, and how far it is from another one."""
