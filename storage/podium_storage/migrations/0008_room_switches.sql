-- Who may speak while everybody is muted, and who is shown large to everybody.

DROP INDEX "roomControls.lessonId";

ALTER TABLE "roomControls" RENAME TO "roomControlsBefore";

CREATE TABLE "roomControls" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "muted" INTEGER NOT NULL CHECK ("muted" IN (0, 1)),
  "silenced" TEXT NOT NULL,
  "speakers" TEXT NOT NULL,
  "spotlight" TEXT
) STRICT;

INSERT INTO "roomControls" ("id", "lessonId", "muted", "silenced", "speakers", "spotlight")
  SELECT "id", "lessonId", "muted", "silenced", '[]', NULL FROM "roomControlsBefore";

DROP TABLE "roomControlsBefore";

CREATE UNIQUE INDEX "roomControls.lessonId" ON "roomControls" ("lessonId");
