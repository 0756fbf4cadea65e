-- Who encrypted the texts of a poll, and which options are right as cipher text; NULL in sessions that are not encrypted.

ALTER TABLE "polls" ADD COLUMN "sealedBy" TEXT;
ALTER TABLE "polls" ADD COLUMN "sealedRight" TEXT;
