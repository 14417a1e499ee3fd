"""Cartrita v2's HTTP and Socket.IO, as a table over v3: see `table` and `loop`."""
