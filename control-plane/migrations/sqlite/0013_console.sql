-- What the list of keys is sorted and counted by: keys that work, newest first; those that were revoked; those that end, by when.

CREATE INDEX api_keys_working ON api_keys (workspace_seq, seq) WHERE listed = 1;
CREATE INDEX api_keys_revoked ON api_keys (workspace_seq, seq) WHERE revoked_at IS NOT NULL;
CREATE INDEX api_keys_ends ON api_keys (workspace_seq, expires_at) WHERE revoked_at IS NULL AND expires_at IS NOT NULL;

-- Links by which an owner invites somebody: `hash` is the SHA-256 of what is in the link. Times: Unix milliseconds.
CREATE TABLE invitations (
    hash          BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    id            TEXT    NOT NULL UNIQUE,
    workspace_seq INTEGER NOT NULL REFERENCES workspaces (seq),
    email         TEXT    NOT NULL,              -- as users.email
    role          TEXT    NOT NULL CHECK (role IN ('owner', 'member', 'viewer')),
    created_by    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_workspace ON invitations (workspace_seq, created_at);
CREATE INDEX invitations_age ON invitations (expires_at);

-- The workspace whose owner invited somebody who had no account: nobody else has said that the address is theirs. NULL when an
-- operator has made the account or given it a password.
ALTER TABLE users ADD COLUMN vouched_by INTEGER REFERENCES workspaces (seq);
