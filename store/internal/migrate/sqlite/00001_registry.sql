-- The registry as SQLite keeps it. Times are microseconds since 1970, UTC.
-- Small rows that are found by their key live in the key's own tree (WITHOUT
-- ROWID); rows that carry documents live in a table beside their index.

CREATE TABLE tenants (
	tenant   TEXT NOT NULL PRIMARY KEY,
	disabled INTEGER NOT NULL,
	created  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE access_keys (
	id       TEXT NOT NULL PRIMARY KEY,
	account  TEXT NOT NULL,
	role     TEXT NOT NULL,
	sealed   BLOB NOT NULL,
	name     TEXT NOT NULL,
	disabled INTEGER NOT NULL,
	created  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX access_keys_account ON access_keys (account, id);

CREATE TABLE certificates (
	tenant     TEXT NOT NULL,
	id         TEXT NOT NULL,
	pem        TEXT NOT NULL,
	status     TEXT NOT NULL,
	mode       TEXT NOT NULL,
	ca         TEXT NOT NULL,
	serial     TEXT NOT NULL,
	origin     TEXT NOT NULL,
	hidden     INTEGER NOT NULL,
	not_before INTEGER NOT NULL,
	not_after  INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	modified   INTEGER NOT NULL,
	version    INTEGER NOT NULL,
	generation TEXT NOT NULL,
	PRIMARY KEY (tenant, id)
);
CREATE INDEX certificates_listed ON certificates (tenant, created, id) WHERE hidden = 0;
CREATE INDEX certificates_expiring ON certificates (not_after) WHERE status = 'ACTIVE';

CREATE TABLE tokens (
	tenant  TEXT NOT NULL,
	digest  BLOB NOT NULL,
	cert    TEXT NOT NULL,
	expires INTEGER NOT NULL,
	spent   INTEGER NOT NULL,
	request BLOB NOT NULL,
	answer  BLOB NOT NULL,
	PRIMARY KEY (digest, tenant)
) WITHOUT ROWID;
CREATE INDEX tokens_expires ON tokens (expires);

CREATE TABLE intents (
	tenant   TEXT NOT NULL,
	serial   TEXT NOT NULL,
	subject  TEXT NOT NULL,
	key_hash BLOB NOT NULL,
	purpose  TEXT NOT NULL,
	created  INTEGER NOT NULL,
	PRIMARY KEY (serial, tenant)
) WITHOUT ROWID;
CREATE INDEX intents_created ON intents (created);

CREATE TABLE claims (
	tenant   TEXT NOT NULL,
	cert     TEXT NOT NULL,
	template TEXT NOT NULL,
	trusted  INTEGER NOT NULL,
	made_by  TEXT NOT NULL,
	expires  INTEGER NOT NULL,
	created  INTEGER NOT NULL,
	PRIMARY KEY (tenant, cert)
) WITHOUT ROWID;
CREATE INDEX claims_listed ON claims (tenant, created, cert);

CREATE TABLE things (
	tenant     TEXT NOT NULL,
	name       TEXT NOT NULL,
	id         TEXT NOT NULL,
	type       TEXT NOT NULL,
	billing    TEXT NOT NULL,
	attributes TEXT NOT NULL,
	version    INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
CREATE INDEX things_type ON things (tenant, type, name) WHERE type <> '';

CREATE TABLE documents (
	tenant TEXT NOT NULL,
	kind   TEXT NOT NULL,
	name   TEXT NOT NULL,
	body   TEXT NOT NULL,
	PRIMARY KEY (tenant, kind, name)
);

CREATE TABLE links (
	tenant    TEXT NOT NULL,
	kind      TEXT NOT NULL,
	left_end  TEXT NOT NULL,
	right_end TEXT NOT NULL,
	data      TEXT NOT NULL,
	created   INTEGER NOT NULL,
	PRIMARY KEY (tenant, kind, left_end, right_end)
) WITHOUT ROWID;
-- It holds whole links: else the planner takes the primary key's first two
-- columns for the cheaper way, and reads every link of the kind.
CREATE INDEX links_reverse ON links (tenant, kind, right_end, left_end, data, created);

CREATE TABLE attempts (
	id     TEXT NOT NULL PRIMARY KEY,
	tenant TEXT NOT NULL,
	opened INTEGER NOT NULL,
	closed INTEGER NOT NULL,
	keys   TEXT NOT NULL,
	body   TEXT NOT NULL
);
CREATE INDEX attempts_closed ON attempts (closed);

-- A key is the first eight bytes of a digest over tenant and text: whoever
-- reads compares the texts.
CREATE TABLE attempt_keys (
	digest  INTEGER NOT NULL,
	opened  INTEGER NOT NULL,
	attempt TEXT NOT NULL,
	PRIMARY KEY (digest, opened, attempt)
) WITHOUT ROWID;

-- One row holds the events of one commit, in order.
CREATE TABLE outbox (
	id    INTEGER PRIMARY KEY AUTOINCREMENT,
	count INTEGER NOT NULL,
	body  TEXT NOT NULL
);
