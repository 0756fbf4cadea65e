-- Sessions whose time to be kept is over, while what belongs to them is deleted bit by bit.

CREATE TABLE forgottenSessions (
  id INTEGER PRIMARY KEY,
  lessonId TEXT NOT NULL UNIQUE,
  room TEXT NOT NULL
) STRICT;
