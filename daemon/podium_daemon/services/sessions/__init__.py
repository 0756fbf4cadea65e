"""Sessions: who may hold them, how they are submitted, and their lifecycle."""
