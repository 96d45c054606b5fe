"""Dual-run: two systems kept in step, both ways, from durable state and positive evidence only."""
