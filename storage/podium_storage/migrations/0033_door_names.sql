-- What a person is called in one session, given at the door: kept and deleted with their row in the room.

ALTER TABLE roomMembers ADD COLUMN "name" TEXT;
