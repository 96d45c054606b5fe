"""A query of the engine in the SQL of another one: every construct by a rule that keeps its meaning, others refused by name."""
