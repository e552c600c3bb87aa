-- Tokens of operators, keys that the control plane signs with, and whose a session is.
-- Times: Unix milliseconds, except `expires_at` (Unix seconds).

-- A token `fgo_…` is stored as its SHA-256 only. A name is never given out twice: the audit log tells tokens apart by it. Without a
-- workspace a token is for all of /v1, with one it is for that workspace, in a role as people have there.
CREATE TABLE operator_tokens (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    name          TEXT    NOT NULL UNIQUE,
    hash          BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    workspace_seq INTEGER REFERENCES workspaces (seq),
    role          TEXT    CHECK (role IN ('owner', 'member', 'viewer')),
    created_at    INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    expires_at    INTEGER,
    revoked_at    INTEGER,
    last_used_at  INTEGER,
    CHECK ((workspace_seq IS NULL) = (role IS NULL))
) STRICT;

-- What all control planes of this database sign cookies with.
CREATE TABLE signing_keys (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL CHECK (length(value) = 32)
) STRICT;

-- NULL while nobody is signed in, and in rows that a program of before has written.
ALTER TABLE sessions ADD COLUMN user_id TEXT;
CREATE INDEX sessions_of_user ON sessions (user_id) WHERE user_id IS NOT NULL;
