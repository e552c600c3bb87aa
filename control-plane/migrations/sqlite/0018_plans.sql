-- Named sets of limits and restrictions that keys and workspaces refer to: a change of one is one revision, whatever the number of keys.
CREATE TABLE plans (
    name         TEXT    NOT NULL PRIMARY KEY,
    scope        TEXT    NOT NULL CHECK (scope IN ('key', 'workspace')),
    limits       TEXT    NOT NULL,  -- as of a workspace
    restrictions TEXT,              -- as of a key
    revision     INTEGER NOT NULL,  -- of its last change
    created_at   INTEGER NOT NULL   -- Unix milliseconds
) STRICT;

ALTER TABLE api_keys ADD COLUMN plan TEXT REFERENCES plans (name);
CREATE INDEX api_keys_plan ON api_keys (plan, seq, revoked_at) WHERE plan IS NOT NULL;
ALTER TABLE workspaces ADD COLUMN plan TEXT REFERENCES plans (name);
