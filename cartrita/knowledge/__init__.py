"""What is done with knowledge before it is kept and after it is found, without any storage."""
