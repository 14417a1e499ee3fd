"""The agents Cartrita ships, one file each."""
