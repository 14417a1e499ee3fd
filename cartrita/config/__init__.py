"""Every setting, the places it may come from, and who wins."""
