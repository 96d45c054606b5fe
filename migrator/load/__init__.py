"""Plan what to write, write it in batches, and know what became of every row."""
