"""gRPC: the same tasks, by the older system's messages."""
