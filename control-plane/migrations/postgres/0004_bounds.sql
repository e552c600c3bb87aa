-- What an operator allows: a ceiling for every key of a workspace, limits of the whole workspace, how many keys may be
-- active, and which people are operators. Limits are JSON as in the key record. (There was no database on PostgreSQL before this, so
-- nothing has to be moved; the file of this number for SQLite moves limits.)

ALTER TABLE workspaces ADD COLUMN ceiling TEXT;                              -- one limit named `ceiling`; NULL for none
ALTER TABLE workspaces ADD COLUMN workspace_limits TEXT NOT NULL DEFAULT '[]';
ALTER TABLE workspaces ADD COLUMN max_active_keys BIGINT CHECK (max_active_keys >= 0); -- NULL for as many as one likes
ALTER TABLE users ADD COLUMN is_operator BIGINT NOT NULL DEFAULT 0 CHECK (is_operator IN (0, 1));

-- The active keys of a workspace are counted with every key that is made.
CREATE INDEX api_keys_active ON api_keys (workspace_seq, expires_at) WHERE listed = 1;
