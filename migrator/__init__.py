"""The engine of crm-migrator: extract, map, deduplicate, load, prove and keep in step; it knows no CRM by name."""

__version__ = "0.1.0"
