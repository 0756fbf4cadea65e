"""People: names, profiles, and their relays."""
