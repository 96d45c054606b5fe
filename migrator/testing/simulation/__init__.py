"""A deterministic simulation of a dual run: two systems, their users, their faults and a checker around the real sync code."""
