"""Breaks a running instance under load and counts what that cost: `cartrita chaos`."""
