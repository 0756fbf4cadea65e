"""Something that a player can play."""

from __future__ import annotations

import io
import wave


def silence() -> bytes:
    """A second of silence as WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16_000))
    return file.getvalue()
