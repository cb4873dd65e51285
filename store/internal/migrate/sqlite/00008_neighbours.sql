-- What is written together lies together. All that is tied to one right name,
-- which a device asks for when it connects, stands on one page; what is tied to one
-- left name, such as a policy that a whole fleet has, is in the order in which it
-- was tied: another one goes to the end and not to a page of its own.

CREATE TABLE ties (
	tenant    TEXT NOT NULL,
	right_end TEXT NOT NULL,
	kind      TEXT NOT NULL,
	left_end  TEXT NOT NULL,
	data      TEXT NOT NULL,
	created   INTEGER NOT NULL,
	PRIMARY KEY (tenant, right_end, kind, left_end)
) WITHOUT ROWID;
INSERT INTO ties (tenant, right_end, kind, left_end, data, created)
SELECT tenant, right_end, kind, left_end, data, created FROM links ORDER BY tenant, right_end, kind, left_end;
DROP TABLE links;
ALTER TABLE ties RENAME TO links;
-- It holds whole links, so that a list need not look each of them up.
CREATE INDEX links_forward ON links (tenant, kind, left_end, created, right_end, data);

-- There are as many intents as certificates that are being signed right now.
DROP INDEX intents_created;
