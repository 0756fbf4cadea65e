"""Nostr and the live-session rules as pure values: no I/O, no clock, no randomness that was not handed in."""
