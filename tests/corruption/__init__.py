"""The seeded-corruption proof: faults planted in a loaded target, each of which the reconcile must name, and nothing else."""
