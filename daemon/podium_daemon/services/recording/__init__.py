"""Recordings: consent, segments, files, publication, and credit for watching."""
