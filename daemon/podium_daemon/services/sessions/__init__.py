"""Sessions: who may hold them, how they are submitted, and their life through time."""
