"""Texts of the report, one JSON file a language; every file has the same ids with the same placeholders."""
