"""Secret keys on disk: files, passwords, and the checks that keep them private."""
