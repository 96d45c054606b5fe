"""Find the records that are one, and decide what survives.

The way of a mapping: `keys` normalises its key fields to one scratch file · `edges` says which records agree and why ·
`cluster` joins edges to clusters, whatever made them · `survive` chooses survivors and their values · `run` does it all
once per inputs · `story` tells one cluster.
"""
