"""`desert-seg doctor`: what of this machine and its installation helps or hinders, each with its cure."""
