"""LiveKit: rooms of a LiveKit server, through its own Python library (the extra `podium-nostr[livekit]`)."""
