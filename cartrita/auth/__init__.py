"""Who somebody is: passwords, keys, tokens, sessions."""
