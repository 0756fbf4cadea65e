"""Private sessions: events received and sent by gift wrap."""
