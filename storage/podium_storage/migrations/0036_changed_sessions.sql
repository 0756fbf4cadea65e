-- Sessions that changed since a service last dealt with all of it: a start looks at those and at no others.

CREATE TABLE changedSessions (
  id INTEGER PRIMARY KEY,
  work TEXT NOT NULL,
  lesson INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX changedSessionsByWork ON changedSessions (work, lesson);

INSERT INTO changedSessions (work, lesson)
SELECT w.value, s."lessonId" FROM "trainingLiveSessions" AS s CROSS JOIN json_each('["messages","attendance"]') AS w;
