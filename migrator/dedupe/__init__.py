"""Find the records that are one, and decide what survives."""
