-- Who was in a room when its leaders locked it: nobody else comes in. NULL: it is open.

ALTER TABLE "roomControls" ADD COLUMN "lockedIn" TEXT;
