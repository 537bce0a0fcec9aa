"""Streams generated from a scenario, for a dry run before the first sensor is wired."""
