-- What is tied to one left name, such as a policy that a whole fleet has, is in
-- the order in which it was tied: another one goes to the end of the index and not
-- to a page of its own.

ALTER TABLE links DROP CONSTRAINT links_pkey;
ALTER TABLE links ADD PRIMARY KEY (right_end, tenant, kind, left_end);
DROP INDEX links_reverse;
CREATE INDEX links_forward ON links (left_end, tenant, kind, created, right_end);
