-- Who is in a room now, without a look at everybody who ever was.

CREATE INDEX "attendanceIntervals.leftAt" ON "attendanceIntervals" ("leftAt");
