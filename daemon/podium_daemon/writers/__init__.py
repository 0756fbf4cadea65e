"""What several services write: signed events, private messages by gift wrap, the live status."""
