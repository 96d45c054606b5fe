"""The compiled query of a mapping in the words of other engines: a closed list of constructs, the others refused by name."""
