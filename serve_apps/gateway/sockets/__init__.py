"""Sockets: many tasks on one connection, over WebSocket and Socket.IO."""
