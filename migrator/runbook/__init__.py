"""Runbooks that run: one file that people read, that is checked against what must hold, rehearsed, carried out and signed."""
