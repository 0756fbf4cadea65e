-- The links in people's messages: whom a key that the service keeps stands for, how an answer or a view came, and when
-- people ended the links that they had been sent (`lesson` "": of all sessions).

ALTER TABLE "sessionGuests" ADD COLUMN "person" TEXT;

CREATE INDEX "sessionGuests.person" ON "sessionGuests" ("person");

ALTER TABLE "trainingLiveSessionRSVPs" ADD COLUMN "assurance" TEXT;

ALTER TABLE "recordingWatches" ADD COLUMN "assurance" TEXT;

ALTER TABLE viewings ADD COLUMN leads INTEGER NOT NULL DEFAULT 0 CHECK (leads IN (0, 1));

CREATE TABLE endedLinks (
  id INTEGER PRIMARY KEY,
  pubkey TEXT NOT NULL,
  lesson TEXT NOT NULL,
  endedAt INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX endedLinksByPerson ON endedLinks (pubkey, lesson);
