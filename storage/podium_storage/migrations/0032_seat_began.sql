-- When a seat was taken, kept with its resume token: a daemon that is killed before attendance has seen the person must know
-- until when they may come back.

ALTER TABLE returns ADD COLUMN began INTEGER;
