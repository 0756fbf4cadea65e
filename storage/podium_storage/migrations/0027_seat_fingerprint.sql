-- The certificate that a join proof names, kept with the resume token: without one a seat has no media. Whoever sat in a
-- room before joins once more.

DELETE FROM returns;

ALTER TABLE returns ADD COLUMN fingerprint TEXT;
