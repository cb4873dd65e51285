-- MQTT sessions that outlive their connections, and shared groups that have such
-- a member: one row each, its subscriptions in the body. A session's queue hangs
-- on its id, which no other session ever has.

CREATE TABLE sessions (
	tenant TEXT COLLATE "C" NOT NULL,
	client TEXT COLLATE "C" NOT NULL,
	id     TEXT COLLATE "C" NOT NULL,
	ended  BIGINT NOT NULL,
	body   TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, client)
);

CREATE TABLE queued (
	seq       BIGINT PRIMARY KEY,
	session   TEXT COLLATE "C" NOT NULL,
	published BIGINT NOT NULL,
	expires   BIGINT NOT NULL,
	sent      BIGINT NOT NULL,
	size      BIGINT NOT NULL,
	packet    BYTEA NOT NULL
);
CREATE INDEX queued_session ON queued (session, seq, expires, size);
