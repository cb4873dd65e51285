-- The audit trail. A record is written with seq 0 in the transaction it tells
-- of; the sealer then gives it its number and its place in the chain. An id
-- says nothing of the order in which transactions were committed, but one that
-- saw the effect of another has drawn a higher id.

CREATE TABLE audit (
	id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	seq      BIGINT NOT NULL,
	tenant   TEXT COLLATE "C" NOT NULL,
	at       BIGINT NOT NULL,
	previous BYTEA NOT NULL,
	hash     BYTEA NOT NULL,
	body     TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX audit_sealed ON audit (seq) WHERE seq > 0;
CREATE INDEX audit_waiting ON audit (seq, id) WHERE seq = 0;
CREATE INDEX audit_listed ON audit (tenant, at, id);

-- What sealed records are found by. A key is the first eight bytes of a digest
-- over tenant and text: whoever reads compares the texts.
CREATE TABLE audit_keys (
	seq    BIGINT NOT NULL,
	digest BIGINT NOT NULL,
	at     BIGINT NOT NULL,
	PRIMARY KEY (seq, digest)
);
CREATE INDEX audit_keys_found ON audit_keys (digest, at, seq);

-- The end of the chain, in the one row there is: whoever moves it on seals.
CREATE TABLE audit_head (
	id   BIGINT NOT NULL PRIMARY KEY,
	seq  BIGINT NOT NULL,
	hash BYTEA NOT NULL,
	seal BYTEA NOT NULL
);
INSERT INTO audit_head (id, seq, hash, seal) VALUES (1, 0, decode(repeat('00', 32), 'hex'), '');
