"""Opens ports that need more than a line of settings."""
