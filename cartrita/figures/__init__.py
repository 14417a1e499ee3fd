"""Statistics of small tables: pure functions of rows and numbers."""
