"""Proof that the new system holds what it should: expectations, reconcile, report."""
