"""Tests of crm-migrator."""
