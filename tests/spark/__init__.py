"""Mappings on Spark."""
