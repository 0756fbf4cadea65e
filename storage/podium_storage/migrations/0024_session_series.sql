-- The calendar (kind 31924) that lists the dates of a series.

ALTER TABLE "trainingLiveSessions" ADD COLUMN "series" TEXT;
