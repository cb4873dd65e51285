-- What an account sets for itself, as JSON, and the templates that an
-- installer's key is for, divided by commas.

ALTER TABLE tenants ADD COLUMN settings TEXT NOT NULL DEFAULT '';
ALTER TABLE access_keys ADD COLUMN templates TEXT NOT NULL DEFAULT '';
