"""One module a revision, named as it: v0001, v0002, … in one line."""
