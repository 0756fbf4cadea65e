"""Reminders: planned, wrapped, sent and accounted for; and the answers to them."""
