-- Which active keys were not used for long, and where keys were used, found without a look at every key. Times are Unix minutes.

-- A row for each key in the gateways' table: `since` is the first minute of the day (UTC) on which it was last used, or made. So it changes
-- once a day at most. Not quite exact: whoever reads it compares with `key_uses`, too.
CREATE TABLE idle_keys (
    key_seq       BIGINT PRIMARY KEY REFERENCES api_keys (seq),
    workspace_seq BIGINT NOT NULL,
    since         BIGINT NOT NULL
);
CREATE INDEX idle_keys_since ON idle_keys (since, key_seq);
CREATE INDEX idle_keys_workspace ON idle_keys (workspace_seq, since, key_seq);

-- One row: up to which revision of the log `idle_keys` has the keys. What leaves the log leaves `idle_keys` too.
CREATE TABLE idle_keys_log (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    revision BIGINT NOT NULL
);
INSERT INTO idle_keys_log (only_row, revision) VALUES (1, 0);

-- The gateways where a key was used last, a few for each key: `last_used_at` is the first minute of an hour.
CREATE TABLE key_gateways (
    key_seq      BIGINT NOT NULL REFERENCES api_keys (seq),
    gateway      TEXT COLLATE "C" NOT NULL,
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (key_seq, gateway)
);

-- The dead keys in use of one workspace. NULL where a program of the release before has made the row, until the key comes again.
ALTER TABLE key_uses ADD COLUMN workspace_seq BIGINT;
UPDATE key_uses SET workspace_seq = (SELECT workspace_seq FROM api_keys WHERE seq = key_seq);
CREATE INDEX key_uses_refused_here ON key_uses (workspace_seq, last_refused_at) WHERE last_refused_at IS NOT NULL;
