"""What opens ports, by topic; services gives them to agents."""
