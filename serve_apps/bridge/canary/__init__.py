"""Shares v2's routes with a v2 that still runs, and compares the two."""
