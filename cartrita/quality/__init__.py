"""What an answer must not be: rules as data, and what reads them."""
