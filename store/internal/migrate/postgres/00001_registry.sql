-- The registry as PostgreSQL keeps it. Times are microseconds since 1970, UTC.
-- Text is ordered by its bytes, so that lists run as they do on SQLite.
--
-- A certificate and a token change soon after they were made. Their pages keep
-- room for that, and no index holds a column that changes: such an update
-- touches no index page, on which all who looked for a neighbour would be in
-- its way.

CREATE TABLE tenants (
	tenant   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	disabled BIGINT NOT NULL,
	created  BIGINT NOT NULL
);

CREATE TABLE access_keys (
	id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account  TEXT COLLATE "C" NOT NULL,
	role     TEXT COLLATE "C" NOT NULL,
	sealed   BYTEA NOT NULL,
	name     TEXT COLLATE "C" NOT NULL,
	disabled BIGINT NOT NULL,
	created  BIGINT NOT NULL
);
CREATE INDEX access_keys_account ON access_keys (account, id);

CREATE TABLE certificates (
	tenant     TEXT COLLATE "C" NOT NULL,
	id         TEXT COLLATE "C" NOT NULL,
	pem        TEXT COLLATE "C" NOT NULL,
	status     TEXT COLLATE "C" NOT NULL,
	mode       TEXT COLLATE "C" NOT NULL,
	ca         TEXT COLLATE "C" NOT NULL,
	serial     TEXT COLLATE "C" NOT NULL,
	origin     TEXT COLLATE "C" NOT NULL,
	hidden     BIGINT NOT NULL,
	not_before BIGINT NOT NULL,
	not_after  BIGINT NOT NULL,
	created    BIGINT NOT NULL,
	modified   BIGINT NOT NULL,
	version    BIGINT NOT NULL,
	generation TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, id)
) WITH (fillfactor = 80);
CREATE INDEX certificates_listed ON certificates (tenant, created, id) WHERE hidden = 0;
CREATE INDEX certificates_expiring ON certificates (not_after);

CREATE TABLE tokens (
	tenant  TEXT COLLATE "C" NOT NULL,
	digest  BYTEA NOT NULL,
	cert    TEXT COLLATE "C" NOT NULL,
	expires BIGINT NOT NULL,
	spent   BIGINT NOT NULL,
	request BYTEA NOT NULL,
	answer  BYTEA NOT NULL,
	PRIMARY KEY (digest, tenant)
) WITH (fillfactor = 50);
CREATE INDEX tokens_expires ON tokens (expires);

CREATE TABLE intents (
	tenant   TEXT COLLATE "C" NOT NULL,
	serial   TEXT COLLATE "C" NOT NULL,
	subject  TEXT COLLATE "C" NOT NULL,
	key_hash BYTEA NOT NULL,
	purpose  TEXT COLLATE "C" NOT NULL,
	created  BIGINT NOT NULL,
	PRIMARY KEY (serial, tenant)
);
CREATE INDEX intents_created ON intents (created);

CREATE TABLE claims (
	tenant   TEXT COLLATE "C" NOT NULL,
	cert     TEXT COLLATE "C" NOT NULL,
	template TEXT COLLATE "C" NOT NULL,
	trusted  BIGINT NOT NULL,
	made_by  TEXT COLLATE "C" NOT NULL,
	expires  BIGINT NOT NULL,
	created  BIGINT NOT NULL,
	PRIMARY KEY (tenant, cert)
);
CREATE INDEX claims_listed ON claims (tenant, created, cert);

CREATE TABLE things (
	tenant     TEXT COLLATE "C" NOT NULL,
	name       TEXT COLLATE "C" NOT NULL,
	id         TEXT COLLATE "C" NOT NULL,
	type       TEXT COLLATE "C" NOT NULL,
	billing    TEXT COLLATE "C" NOT NULL,
	attributes TEXT COLLATE "C" NOT NULL,
	version    BIGINT NOT NULL,
	created    BIGINT NOT NULL,
	PRIMARY KEY (tenant, name)
);
CREATE INDEX things_type ON things (tenant, type, name) WHERE type <> '';

CREATE TABLE documents (
	tenant TEXT COLLATE "C" NOT NULL,
	kind   TEXT COLLATE "C" NOT NULL,
	name   TEXT COLLATE "C" NOT NULL,
	body   TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, kind, name)
);

CREATE TABLE links (
	tenant    TEXT COLLATE "C" NOT NULL,
	kind      TEXT COLLATE "C" NOT NULL,
	left_end  TEXT COLLATE "C" NOT NULL,
	right_end TEXT COLLATE "C" NOT NULL,
	data      TEXT COLLATE "C" NOT NULL,
	created   BIGINT NOT NULL,
	PRIMARY KEY (tenant, kind, left_end, right_end)
);
CREATE INDEX links_reverse ON links (tenant, kind, right_end, left_end);

CREATE TABLE attempts (
	id     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	tenant TEXT COLLATE "C" NOT NULL,
	opened BIGINT NOT NULL,
	closed BIGINT NOT NULL,
	keys   TEXT COLLATE "C" NOT NULL,
	body   TEXT COLLATE "C" NOT NULL
);
CREATE INDEX attempts_closed ON attempts (closed);

-- A key is the first eight bytes of a digest over tenant and text: whoever
-- reads compares the texts.
CREATE TABLE attempt_keys (
	digest  BIGINT NOT NULL,
	opened  BIGINT NOT NULL,
	attempt TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (digest, opened, attempt)
);

-- One row holds the events of one transaction, in order.
CREATE TABLE outbox (
	id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	node  TEXT COLLATE "C" NOT NULL,
	count BIGINT NOT NULL,
	body  TEXT COLLATE "C" NOT NULL
);
CREATE INDEX outbox_node ON outbox (node, id);

-- A node that is alive says so here, by the database's clock.
CREATE TABLE nodes (
	name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	seen TIMESTAMPTZ NOT NULL
);
