-- What lists need to cost the same in a large registry as in a small one.
--
-- Things are found by their attributes. The triggers keep the index in the
-- statement that changes the thing: what has no attributes pays for nothing.

CREATE TABLE thing_attributes (
	tenant    TEXT COLLATE "C" NOT NULL,
	attribute TEXT COLLATE "C" NOT NULL,
	value     TEXT COLLATE "C" NOT NULL,
	thing     TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (tenant, attribute, value, thing)
);

INSERT INTO thing_attributes (tenant, attribute, value, thing)
SELECT t.tenant, a.key, a.value, t.name FROM things t, json_each_text(NULLIF(t.attributes, '')::json) a;

CREATE FUNCTION index_thing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP <> 'INSERT' AND OLD.attributes <> '' THEN
		DELETE FROM thing_attributes d USING json_each_text(OLD.attributes::json) a
		WHERE d.tenant = OLD.tenant AND d.attribute = a.key AND d.value = a.value AND d.thing = OLD.name;
	END IF;
	IF TG_OP <> 'DELETE' AND NEW.attributes <> '' THEN
		INSERT INTO thing_attributes (tenant, attribute, value, thing)
		SELECT NEW.tenant, key, value, NEW.name FROM json_each_text(NEW.attributes::json);
	END IF;
	RETURN NULL;
END;
$$;

CREATE TRIGGER things_made AFTER INSERT ON things FOR EACH ROW
	WHEN (NEW.attributes <> '') EXECUTE FUNCTION index_thing();
CREATE TRIGGER things_changed AFTER UPDATE OF attributes ON things FOR EACH ROW
	WHEN (NEW.attributes <> OLD.attributes) EXECUTE FUNCTION index_thing();
CREATE TRIGGER things_gone AFTER DELETE ON things FOR EACH ROW
	WHEN (OLD.attributes <> '') EXECUTE FUNCTION index_thing();

-- Both indices of links began with tenant and kind. Until a growing table was
-- analysed, the planner took either for the other, and read every link of the
-- kind to find those of one name.
ALTER TABLE links DROP CONSTRAINT links_pkey;
ALTER TABLE links ADD PRIMARY KEY (left_end, tenant, kind, right_end);
DROP INDEX links_reverse;
CREATE INDEX links_reverse ON links (right_end, tenant, kind, left_end);
