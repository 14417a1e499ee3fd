"""Runs code that nobody trusts, in bubblewrap."""
