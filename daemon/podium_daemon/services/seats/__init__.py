"""Seats and the waiting list."""
