-- CA certificates that accounts brought along, and the device certificates that
-- each of them signed. A leaf finds its CA by the subject's digest: that of its
-- issuer, byte for byte.

CREATE TABLE authorities (
	tenant     TEXT NOT NULL,
	id         TEXT NOT NULL,
	subject    BLOB NOT NULL,
	pem        TEXT NOT NULL,
	status     TEXT NOT NULL,
	mode       TEXT NOT NULL,
	automatic  INTEGER NOT NULL,
	template   TEXT NOT NULL,
	body       TEXT NOT NULL,
	not_before INTEGER NOT NULL,
	not_after  INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	modified   INTEGER NOT NULL,
	version    INTEGER NOT NULL,
	generation TEXT NOT NULL,
	PRIMARY KEY (id, tenant)
);
CREATE INDEX authorities_subject ON authorities (tenant, subject, id);
CREATE INDEX authorities_listed ON authorities (tenant, created, id);
CREATE INDEX authorities_template ON authorities (tenant, template, created, id) WHERE template <> '';

CREATE INDEX certificates_signed ON certificates (tenant, ca, created, id) WHERE ca <> '';
