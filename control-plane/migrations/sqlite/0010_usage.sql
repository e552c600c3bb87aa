-- What keys are used for. Times are Unix minutes. `step` is the length of a bucket in minutes, `start` its first minute.

-- Requests of a key by outcome. Minutes are kept for 48 hours, hours for 31 days, days for 400 days.
CREATE TABLE key_usage (
    key_seq       INTEGER NOT NULL REFERENCES api_keys (seq),
    step          INTEGER NOT NULL CHECK (step IN (1, 60, 1440)),
    start         INTEGER NOT NULL,
    workspace_seq INTEGER NOT NULL,
    admitted      INTEGER NOT NULL,
    rate_limited  INTEGER NOT NULL,
    forbidden     INTEGER NOT NULL,
    expired       INTEGER NOT NULL,
    environment   INTEGER NOT NULL,
    revoked       INTEGER NOT NULL,
    PRIMARY KEY (key_seq, step, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_usage_age ON key_usage (step, start);
CREATE INDEX key_usage_busiest ON key_usage (workspace_seq, start, admitted) WHERE step = 1440;

-- The sums of all keys of a workspace.
CREATE TABLE workspace_usage (
    workspace_seq INTEGER NOT NULL REFERENCES workspaces (seq),
    step          INTEGER NOT NULL CHECK (step IN (1, 60, 1440)),
    start         INTEGER NOT NULL,
    admitted      INTEGER NOT NULL,
    rate_limited  INTEGER NOT NULL,
    forbidden     INTEGER NOT NULL,
    expired       INTEGER NOT NULL,
    environment   INTEGER NOT NULL,
    revoked       INTEGER NOT NULL,
    PRIMARY KEY (workspace_seq, step, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX workspace_usage_age ON workspace_usage (step, start);

-- When a key was last used, and when somebody last came with it although it had ended; both go forward only. Beside `api_keys`, so
-- that no change of a key waits for it.
CREATE TABLE key_uses (
    key_seq         INTEGER PRIMARY KEY REFERENCES api_keys (seq),
    last_used_at    INTEGER,
    last_used_by    TEXT,
    last_refused_at INTEGER,
    last_refused_by TEXT
) STRICT;

CREATE INDEX key_uses_refused ON key_uses (last_refused_at) WHERE last_refused_at IS NOT NULL;

-- The last post of each gateway's process that was counted: `session` is the SHA-256 of its secret.
CREATE TABLE usage_cursors (
    credential TEXT    NOT NULL,
    session    BLOB    NOT NULL CHECK (length(session) = 32),
    sequence   INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    PRIMARY KEY (credential, session)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_cursors_age ON usage_cursors (seen_at);

-- One row, from the first post on: since when there are counts.
CREATE TABLE usage_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    since    INTEGER NOT NULL
) STRICT;
