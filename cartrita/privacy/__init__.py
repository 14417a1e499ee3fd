"""What tells of a person: found, and kept from those who need not see it."""
