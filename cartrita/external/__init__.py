"""Agents that run elsewhere and are called over HTTP: what is known of them."""
