"""One package a system; each knows migrator.core only and is found by entry point."""
