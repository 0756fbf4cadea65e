"""People: names, profiles, and where they are reached."""
