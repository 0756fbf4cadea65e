"""The composition root: the one place where the parts of the daemon are made and joined."""
