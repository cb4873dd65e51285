-- The audit trail. A record is written with seq 0 in the transaction it tells
-- of; the sealer then gives it its number and its place in the chain.

CREATE TABLE audit (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	seq      INTEGER NOT NULL,
	tenant   TEXT NOT NULL,
	at       INTEGER NOT NULL,
	previous BLOB NOT NULL,
	hash     BLOB NOT NULL,
	body     TEXT NOT NULL
);
CREATE UNIQUE INDEX audit_sealed ON audit (seq) WHERE seq > 0;
CREATE INDEX audit_waiting ON audit (seq, id) WHERE seq = 0;
CREATE INDEX audit_listed ON audit (tenant, at, id);

-- What sealed records are found by. A key is the first eight bytes of a digest
-- over tenant and text: whoever reads compares the texts.
CREATE TABLE audit_keys (
	seq    INTEGER NOT NULL,
	digest INTEGER NOT NULL,
	at     INTEGER NOT NULL,
	PRIMARY KEY (seq, digest)
) WITHOUT ROWID;
CREATE INDEX audit_keys_found ON audit_keys (digest, at, seq);

-- The end of the chain, in the one row there is: whoever moves it on seals.
CREATE TABLE audit_head (
	id   INTEGER NOT NULL PRIMARY KEY,
	seq  INTEGER NOT NULL,
	hash BLOB NOT NULL,
	seal BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO audit_head (id, seq, hash, seal) VALUES (1, 0, zeroblob(32), x'');
