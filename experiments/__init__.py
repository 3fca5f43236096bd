"""Compares small trainings of equal budget on the gap between deserts. `python -m experiments --help`."""
