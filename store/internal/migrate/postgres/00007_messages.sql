-- Retained messages and last wills. A packet is the message as MQTT 5 writes
-- it, without QoS and flags; it comes last, since lists do not read it.

CREATE TABLE retained (
	tenant   TEXT COLLATE "C" NOT NULL,
	topic    TEXT COLLATE "C" NOT NULL,
	qos      BIGINT NOT NULL,
	size     BIGINT NOT NULL,
	modified BIGINT NOT NULL,
	expires  BIGINT NOT NULL,
	packet   BYTEA NOT NULL,
	PRIMARY KEY (tenant, topic)
);
CREATE INDEX retained_expires ON retained (expires) WHERE expires > 0;

-- How many there are: counting them at each new one would read them all.
CREATE TABLE retained_counts (
	tenant TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	count  BIGINT NOT NULL
);

CREATE TABLE wills (
	tenant     TEXT COLLATE "C" NOT NULL,
	client     TEXT COLLATE "C" NOT NULL,
	holder     TEXT NOT NULL, -- the server; empty once it is dead
	connection TEXT NOT NULL,
	principal  TEXT NOT NULL,
	address    TEXT NOT NULL,
	delay      BIGINT NOT NULL,
	due        BIGINT NOT NULL,
	qos        BIGINT NOT NULL,
	retain     BIGINT NOT NULL,
	packet     BYTEA NOT NULL,
	PRIMARY KEY (tenant, client)
);
CREATE INDEX wills_left ON wills (tenant, client) WHERE holder = '';
