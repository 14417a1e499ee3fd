"""What agents share that find things out."""
