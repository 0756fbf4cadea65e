"""Media work of the daemon, in a process of its own: one file out of the tracks of a recording."""
