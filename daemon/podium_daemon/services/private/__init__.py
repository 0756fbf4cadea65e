"""Private sessions: what comes and goes by gift wrap."""
