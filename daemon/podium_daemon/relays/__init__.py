"""Relays: connections, publishing, fetching, and the embedded relay."""
