"""Rooms: the door, the waiting room, messages over a seat, and the controls of instructor and co-hosts."""
