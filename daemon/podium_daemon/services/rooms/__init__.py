"""Rooms: the door, the waiting room, what is said over a seat, and the leader's controls."""
