-- What people wrote beside their answer, and the `d` of their event: a deletion may name it when the mirror holds it no more.

ALTER TABLE "trainingLiveSessionRSVPs" ADD COLUMN "note" TEXT;
ALTER TABLE "trainingLiveSessionRSVPs" ADD COLUMN "identifier" TEXT;
