"""The supervised tree: door, orchestrator, supervisors, workers and their agents."""
