"""The messages clients and actors exchange."""
