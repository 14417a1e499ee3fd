"""Reads, mends and tests code, with an interpreter's own parser, ruff, and the sandbox."""
