"""Tests that drive Debian's Chromium."""
