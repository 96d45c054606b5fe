"""The simulated dual run: its world, its checker, its mutants, and the real sync in it."""
