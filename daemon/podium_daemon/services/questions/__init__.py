"""Questions and answers of a session."""
