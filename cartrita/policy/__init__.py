"""What surrounds the work of a task: one policy, one file."""
