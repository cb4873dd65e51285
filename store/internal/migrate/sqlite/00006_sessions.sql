-- MQTT sessions that outlive their connections, and shared groups that have such
-- a member: one row each, its subscriptions in the body. A session's queue hangs
-- on its id, which no other session ever has.

CREATE TABLE sessions (
	tenant TEXT NOT NULL,
	client TEXT NOT NULL,
	id     TEXT NOT NULL,
	ended  INTEGER NOT NULL,
	body   TEXT NOT NULL,
	PRIMARY KEY (tenant, client)
) WITHOUT ROWID;

CREATE TABLE queued (
	seq       INTEGER PRIMARY KEY,
	session   TEXT NOT NULL,
	published INTEGER NOT NULL,
	expires   INTEGER NOT NULL,
	sent      INTEGER NOT NULL,
	size      INTEGER NOT NULL,
	packet    BLOB NOT NULL
);
CREATE INDEX queued_session ON queued (session, seq, expires, size);
