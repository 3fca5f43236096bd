"""What moves the number between deserts: small trainings of equal budget, compared. `python -m experiments --help`."""
