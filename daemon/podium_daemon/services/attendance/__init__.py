"""Attendance: observed, computed and attested."""
