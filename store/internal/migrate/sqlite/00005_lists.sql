-- What lists need to cost the same in a large registry as in a small one.
--
-- Things are found by their attributes. The triggers keep the index in the
-- statement that changes the thing: what has no attributes pays for nothing.

CREATE TABLE thing_attributes (
	tenant    TEXT NOT NULL,
	attribute TEXT NOT NULL,
	value     TEXT NOT NULL,
	thing     TEXT NOT NULL,
	PRIMARY KEY (tenant, attribute, value, thing)
) WITHOUT ROWID;

INSERT INTO thing_attributes (tenant, attribute, value, thing)
SELECT t.tenant, a.key, a.value, t.name FROM things t, json_each(t.attributes) a WHERE t.attributes <> '';

CREATE TRIGGER things_made AFTER INSERT ON things WHEN NEW.attributes <> ''
BEGIN
	INSERT INTO thing_attributes (tenant, attribute, value, thing)
	SELECT NEW.tenant, key, value, NEW.name FROM json_each(NEW.attributes);
END;

CREATE TRIGGER things_changed AFTER UPDATE OF attributes ON things WHEN NEW.attributes <> OLD.attributes
BEGIN
	DELETE FROM thing_attributes WHERE tenant = OLD.tenant AND thing = OLD.name AND (attribute, value) IN
		(SELECT key, value FROM json_each(CASE OLD.attributes WHEN '' THEN '{}' ELSE OLD.attributes END));
	INSERT INTO thing_attributes (tenant, attribute, value, thing)
	SELECT NEW.tenant, key, value, NEW.name FROM json_each(CASE NEW.attributes WHEN '' THEN '{}' ELSE NEW.attributes END);
END;

CREATE TRIGGER things_gone AFTER DELETE ON things WHEN OLD.attributes <> ''
BEGIN
	DELETE FROM thing_attributes WHERE tenant = OLD.tenant AND thing = OLD.name AND (attribute, value) IN
		(SELECT key, value FROM json_each(OLD.attributes));
END;
