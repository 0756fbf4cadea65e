"""Reminders: planned, wrapped, sent, with their delivery recorded; and the answers to them."""
