"""What rows with `service = "<file>.<function>"` call: translations, no business logic."""
