"""Function migration: what the old system does besides holding data, and what becomes of each of these functions."""
