"""Tools that chat models may use: each file here declares some, see `declare.py`."""
