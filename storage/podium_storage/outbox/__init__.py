"""Signed events on their way to relays, kept until each relay has answered."""
