-- One person's messages of one session, the open polls, and the rows of a session that is forgotten, without a look at
-- all others. The compound index takes the place of the one by session alone.

DROP INDEX "reminderLedger.lessonId";

CREATE INDEX "reminderLedger.[lessonId+pubkey]" ON "reminderLedger" ("lessonId", "pubkey");

CREATE INDEX "optOuts.lessonId" ON "optOuts" ("lessonId");

CREATE INDEX "polls.stage" ON "polls" ("stage");
