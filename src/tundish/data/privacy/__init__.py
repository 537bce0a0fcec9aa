"""Persons and secrets in cells: found by form and check digit, never printed."""
