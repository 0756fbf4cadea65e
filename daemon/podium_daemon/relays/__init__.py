"""Relays: connections, publishing, fetching, and the one that runs inside."""
