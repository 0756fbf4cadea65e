"""The rules of live sessions, pure: session, RSVP, seats, lifecycle, reminders, attendance, completion."""
