"""What several services write: signed events, letters by gift wrap, the live status."""
