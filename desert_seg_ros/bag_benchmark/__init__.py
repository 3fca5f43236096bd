"""The bag benchmark: a drive through the live node, measured from outside."""
