"""The web: searched, and read."""
