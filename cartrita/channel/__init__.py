"""The data plane: MessagePack frames over Unix sockets and TCP, between our own actors."""
