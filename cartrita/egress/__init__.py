"""The only way out to addresses that callers, models and pages name."""
