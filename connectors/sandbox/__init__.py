"""Serves the protocols of CRMs on loopback, with their limits and their moods: for rehearsals and tests."""
