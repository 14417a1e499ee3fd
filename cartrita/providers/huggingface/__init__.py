"""Models of Hugging Face, on this machine and at its inference API."""
