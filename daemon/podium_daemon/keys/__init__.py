"""Secret keys on disk: files, passwords, and what keeps them out of sight."""
