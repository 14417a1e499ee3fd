"""Agents' ways to work that take several steps: graphs, what they remember, whom they ask."""
