-- Retained messages and last wills. A packet is the message as MQTT 5 writes
-- it, without QoS and flags; it comes last, since lists do not read it.

CREATE TABLE retained (
	tenant   TEXT NOT NULL,
	topic    TEXT NOT NULL,
	qos      INTEGER NOT NULL,
	size     INTEGER NOT NULL,
	modified INTEGER NOT NULL,
	expires  INTEGER NOT NULL,
	packet   BLOB NOT NULL,
	PRIMARY KEY (tenant, topic)
);
CREATE INDEX retained_expires ON retained (expires) WHERE expires > 0;

-- How many there are: counting them at each new one would read them all.
CREATE TABLE retained_counts (
	tenant TEXT NOT NULL PRIMARY KEY,
	count  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE wills (
	tenant     TEXT NOT NULL,
	client     TEXT NOT NULL,
	holder     TEXT NOT NULL, -- the server; empty once it is dead
	connection TEXT NOT NULL,
	principal  TEXT NOT NULL,
	address    TEXT NOT NULL,
	delay      INTEGER NOT NULL,
	due        INTEGER NOT NULL,
	qos        INTEGER NOT NULL,
	retain     INTEGER NOT NULL,
	packet     BLOB NOT NULL,
	PRIMARY KEY (tenant, client)
);
CREATE INDEX wills_left ON wills (tenant, client) WHERE holder = '';
