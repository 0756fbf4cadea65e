"""The engines behind the one interface, each complete in its own folder and loaded only when chosen."""
