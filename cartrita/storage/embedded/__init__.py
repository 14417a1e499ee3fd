"""Real servers from wheels, owned by one process."""
