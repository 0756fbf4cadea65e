"""The common parts of engines whose media the session's own page sends and receives."""
