-- Named sets of limits and restrictions that keys and workspaces refer to: a change of one is one revision, whatever the number of keys.
CREATE TABLE plans (
    name         TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    scope        TEXT   COLLATE "C" NOT NULL CHECK (scope IN ('key', 'workspace')),
    limits       TEXT   NOT NULL,  -- as of a workspace
    restrictions TEXT,             -- as of a key
    revision     BIGINT NOT NULL,  -- of its last change
    created_at   BIGINT NOT NULL   -- Unix milliseconds
);

ALTER TABLE api_keys ADD COLUMN plan TEXT COLLATE "C" REFERENCES plans (name);
CREATE INDEX api_keys_plan ON api_keys (plan, seq, revoked_at) WHERE plan IS NOT NULL;
ALTER TABLE workspaces ADD COLUMN plan TEXT COLLATE "C" REFERENCES plans (name);
