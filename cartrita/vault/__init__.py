"""Providers' keys that users keep here: sealed, shown seldom, and looked after."""
