"""Races for the admission transaction on a real PostgreSQL, decided by a seed."""
