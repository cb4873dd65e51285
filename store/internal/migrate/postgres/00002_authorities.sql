-- CA certificates that accounts brought along, and the device certificates that
-- each of them signed. A leaf finds its CA by the subject's digest: that of its
-- issuer, byte for byte.

CREATE TABLE authorities (
	tenant     TEXT COLLATE "C" NOT NULL,
	id         TEXT COLLATE "C" NOT NULL,
	subject    BYTEA NOT NULL,
	pem        TEXT COLLATE "C" NOT NULL,
	status     TEXT COLLATE "C" NOT NULL,
	mode       TEXT COLLATE "C" NOT NULL,
	automatic  BIGINT NOT NULL,
	template   TEXT COLLATE "C" NOT NULL,
	body       TEXT COLLATE "C" NOT NULL,
	not_before BIGINT NOT NULL,
	not_after  BIGINT NOT NULL,
	created    BIGINT NOT NULL,
	modified   BIGINT NOT NULL,
	version    BIGINT NOT NULL,
	generation TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (id, tenant)
);
CREATE INDEX authorities_subject ON authorities (tenant, subject, id);
CREATE INDEX authorities_listed ON authorities (tenant, created, id);
CREATE INDEX authorities_template ON authorities (tenant, template, created, id) WHERE template <> '';

CREATE INDEX certificates_signed ON certificates (tenant, ca, created, id) WHERE ca <> '';
