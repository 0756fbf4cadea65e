-- What is live, and what comes next, without a look at every session.

CREATE INDEX "trainingLiveSessions.[state+scheduledAt]" ON "trainingLiveSessions" ("state", "scheduledAt");
