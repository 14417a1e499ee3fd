"""PostgreSQL: the journal, its migrations, and memory."""
