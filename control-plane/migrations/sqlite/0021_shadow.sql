-- 1 for a key in shadow: what its limits or restrictions would refuse is counted and passes. Only operators set it.
ALTER TABLE api_keys ADD COLUMN shadow INTEGER NOT NULL DEFAULT 0 CHECK (shadow IN (0, 1));
CREATE INDEX api_keys_shadow ON api_keys (seq, revoked_at) WHERE shadow = 1;

-- What would have been refused and has passed in shadow, by days that begin at midnight, UTC; kept for 31 of them. Times are Unix minutes.

-- Requests of a key by what they would have been refused for.
CREATE TABLE shadow_keys (
    day          INTEGER NOT NULL,
    key_seq      INTEGER NOT NULL REFERENCES api_keys (seq),
    rate_limited INTEGER NOT NULL,
    forbidden    INTEGER NOT NULL,
    expired      INTEGER NOT NULL,
    environment  INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    PRIMARY KEY (day, key_seq)
) STRICT, WITHOUT ROWID;

-- All requests of a gateway by reason, whoever came: the reasons are a list, and so are the gateways of a credential that are told apart.
CREATE TABLE shadow_reasons (
    day      INTEGER NOT NULL,
    gateway  TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    requests INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (day, gateway, reason)
) STRICT, WITHOUT ROWID;

-- Whether a filter of the gateway is in shadow; NULL for one that does not say.
ALTER TABLE gateways ADD COLUMN shadow INTEGER;
