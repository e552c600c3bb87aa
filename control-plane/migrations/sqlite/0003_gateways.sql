-- Credentials of gateways, tags of revisions, and whose process a gateway is.
-- Times: Unix milliseconds.

-- A token `fgw_…` is stored as its SHA-256 only. A name is never given out twice: it is the first part of a gateway's id.
CREATE TABLE gateway_credentials (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL UNIQUE,
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    revoked_at INTEGER
) STRICT;

-- One row for each commit that took revisions: its last revision and a random tag. A revision's tag is that of the first
-- row at or behind it. Gateways say both, so a gateway that has seen another history shows.
CREATE TABLE revision_tags (
    revision INTEGER PRIMARY KEY,
    tag      TEXT    NOT NULL
) STRICT;

-- `id` is now `<credential>/<what the gateway calls itself>`. `session` is the SHA-256 of the process's secret.
UPDATE gateways SET id = 'shared/' || id;
ALTER TABLE gateways ADD COLUMN session BLOB CHECK (session IS NULL OR length(session) = 32);
