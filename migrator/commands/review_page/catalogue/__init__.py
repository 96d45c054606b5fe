"""Texts of the review page, one .po file a language."""
