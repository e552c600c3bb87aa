-- Workspaces, API keys and the revision log that the gateways follow.
-- Times: `created_at` and `revoked_at` in Unix milliseconds, `expires_at` in Unix seconds (as in the key record).

CREATE TABLE workspaces (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE,
    slug           TEXT    NOT NULL UNIQUE,
    name           TEXT    NOT NULL,
    default_limits TEXT    NOT NULL,             -- JSON list of limits
    created_at     INTEGER NOT NULL
) STRICT;

-- A key is stored as its hash only. `limits` is NULL when the key follows its workspace's default.
-- `listed` is 1 while the key is in the gateways' key table. `revision` is the last change of what the gateways see
-- of the key; NULL once the removal of the key has been compacted out of the log.
CREATE TABLE api_keys (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    hash          BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    workspace_seq INTEGER NOT NULL REFERENCES workspaces (seq),
    environment   TEXT    NOT NULL CHECK (environment IN ('live', 'test')),
    name          TEXT    NOT NULL,
    hint          TEXT    NOT NULL,
    limits        TEXT,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    revoked_at    INTEGER,
    rotated_from  TEXT,
    rotated_to    TEXT,
    listed        INTEGER NOT NULL DEFAULT 1 CHECK (listed IN (0, 1)),
    revision      INTEGER,
    CHECK (revision IS NOT NULL OR listed = 0),
    CHECK (revoked_at IS NULL OR listed = 0)
) STRICT;

-- Differences (by revision) and resets (by hash) are each one range of an index.
CREATE UNIQUE INDEX api_keys_revision ON api_keys (revision) WHERE revision IS NOT NULL;
CREATE UNIQUE INDEX api_keys_listed ON api_keys (hash) WHERE listed = 1;
CREATE INDEX api_keys_removed ON api_keys (revision) WHERE listed = 0 AND revision IS NOT NULL;
CREATE INDEX api_keys_expiry ON api_keys (expires_at) WHERE listed = 1 AND expires_at IS NOT NULL;
CREATE INDEX api_keys_workspace ON api_keys (workspace_seq, seq);

-- One row. `epoch` names this history of revisions; `floor` is the newest revision that was compacted away, so a
-- gateway that is behind it needs the whole table.
CREATE TABLE revision_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch    TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    floor    INTEGER NOT NULL
) STRICT;

-- A create or rotate that was done under an Idempotency-Key. `fingerprint` is the SHA-256 of the request.
CREATE TABLE idempotency_keys (
    idempotency_key TEXT    PRIMARY KEY,
    fingerprint     BLOB    NOT NULL,
    api_key_id      TEXT    NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Gateways as last seen, so that a restart of the control plane does not forget whom a revocation must reach.
CREATE TABLE gateways (
    id         TEXT    PRIMARY KEY,
    version    TEXT,
    connected  INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
