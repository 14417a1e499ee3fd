"""Adapters that keep what must outlive a process."""
