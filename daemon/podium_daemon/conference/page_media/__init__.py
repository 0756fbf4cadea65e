"""The parts that engines share whose media the session's own page sends and receives."""
