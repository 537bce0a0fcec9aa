"""Tundish."""
