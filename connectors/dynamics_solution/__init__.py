"""Dynamics 365 and Dataverse solutions: zips, managed or not, unpacked trees of SolutionPackager and pac, schemas of exports."""

from __future__ import annotations

from connectors.dynamics_solution.reader import DynamicsSolution

__all__ = ["READER"]

READER = DynamicsSolution()
