"""The same tasks done by Cartrita and by others, in turns on one machine."""
