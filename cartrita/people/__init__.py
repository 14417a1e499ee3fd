"""People as v2's clients know them: accounts with numbers, settings, personas, consents."""
