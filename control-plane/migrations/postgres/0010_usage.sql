-- What keys are used for. Times are Unix minutes. `step` is the length of a bucket in minutes, `start` its first minute.

-- Requests of a key by outcome. Minutes are kept for 48 hours, hours for 31 days, days for 400 days.
CREATE TABLE key_usage (
    key_seq       BIGINT NOT NULL REFERENCES api_keys (seq),
    step          BIGINT NOT NULL CHECK (step IN (1, 60, 1440)),
    start         BIGINT NOT NULL,
    workspace_seq BIGINT NOT NULL,
    admitted      BIGINT NOT NULL,
    rate_limited  BIGINT NOT NULL,
    forbidden     BIGINT NOT NULL,
    expired       BIGINT NOT NULL,
    environment   BIGINT NOT NULL,
    revoked       BIGINT NOT NULL,
    PRIMARY KEY (key_seq, step, start)
);
CREATE INDEX key_usage_age ON key_usage (step, start);
CREATE INDEX key_usage_busiest ON key_usage (workspace_seq, start, admitted) WHERE step = 1440;

-- The sums of all keys of a workspace.
CREATE TABLE workspace_usage (
    workspace_seq BIGINT NOT NULL REFERENCES workspaces (seq),
    step          BIGINT NOT NULL CHECK (step IN (1, 60, 1440)),
    start         BIGINT NOT NULL,
    admitted      BIGINT NOT NULL,
    rate_limited  BIGINT NOT NULL,
    forbidden     BIGINT NOT NULL,
    expired       BIGINT NOT NULL,
    environment   BIGINT NOT NULL,
    revoked       BIGINT NOT NULL,
    PRIMARY KEY (workspace_seq, step, start)
);
CREATE INDEX workspace_usage_age ON workspace_usage (step, start);

-- When a key was last used, and when somebody last came with it although it had ended; both go forward only. Beside `api_keys`, so
-- that no change of a key waits for it.
CREATE TABLE key_uses (
    key_seq         BIGINT PRIMARY KEY REFERENCES api_keys (seq),
    last_used_at    BIGINT,
    last_used_by    TEXT,
    last_refused_at BIGINT,
    last_refused_by TEXT
);

CREATE INDEX key_uses_refused ON key_uses (last_refused_at) WHERE last_refused_at IS NOT NULL;

-- The last post of each gateway's process that was counted: `session` is the SHA-256 of its secret.
CREATE TABLE usage_cursors (
    credential TEXT   COLLATE "C" NOT NULL,
    session    BYTEA    NOT NULL CHECK (length(session) = 32),
    sequence   BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    PRIMARY KEY (credential, session)
);
CREATE INDEX usage_cursors_age ON usage_cursors (seen_at);

-- One row, from the first post on: since when there are counts.
CREATE TABLE usage_log (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    since    BIGINT NOT NULL
);
