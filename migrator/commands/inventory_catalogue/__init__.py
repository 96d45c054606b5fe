"""Texts of the report on functions, by language; read by `validation.messages`."""
