-- People: who may use the pages, their sessions, and the audit log.
-- Times: Unix milliseconds, except `sessions.expires_at` (Unix seconds).

CREATE TABLE users (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    email         TEXT    NOT NULL UNIQUE,        -- lower-case
    password_hash TEXT    NOT NULL,               -- argon2id, PHC string
    stamp         TEXT    NOT NULL,               -- sessions that carry another stamp have ended
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER
) STRICT;

CREATE TABLE memberships (
    user_seq      INTEGER NOT NULL REFERENCES users (seq),
    workspace_seq INTEGER NOT NULL REFERENCES workspaces (seq),
    role          TEXT    NOT NULL CHECK (role IN ('owner', 'member', 'viewer')),
    PRIMARY KEY (user_seq, workspace_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_workspace ON memberships (workspace_seq, user_seq);

-- `id_hash` is the SHA-256 of the id in the cookie: who reads the database cannot take over a session.
CREATE TABLE sessions (
    id_hash    BLOB    PRIMARY KEY CHECK (length(id_hash) = 32),
    data       TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Who made a key, as shown to people.
ALTER TABLE api_keys ADD COLUMN created_by TEXT;

-- Who did what, when and from where. Names are those of that time; never a secret.
CREATE TABLE audit_log (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    at            INTEGER NOT NULL,
    workspace_seq INTEGER REFERENCES workspaces (seq), -- NULL for what belongs to no workspace
    actor_kind    TEXT    NOT NULL CHECK (actor_kind IN ('user', 'admin_token')),
    actor_id      TEXT,
    actor         TEXT    NOT NULL,
    via           TEXT    NOT NULL CHECK (via IN ('page', 'api', 'cli')),
    address       TEXT,
    action        TEXT    NOT NULL,
    target_id     TEXT,
    target        TEXT    NOT NULL,
    details       TEXT    NOT NULL                -- JSON object
) STRICT;
CREATE INDEX audit_log_workspace ON audit_log (workspace_seq, seq);

-- Append-only. The third one is for INSERT OR REPLACE, which deletes without asking the second.
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log WHEN EXISTS (SELECT 1 FROM audit_log WHERE seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
