"""Deletion of old data."""
