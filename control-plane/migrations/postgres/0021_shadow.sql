-- 1 for a key in shadow: what its limits or restrictions would refuse is counted and passes. Only operators set it.
ALTER TABLE api_keys ADD COLUMN shadow BIGINT NOT NULL DEFAULT 0 CHECK (shadow IN (0, 1));
CREATE INDEX api_keys_shadow ON api_keys (seq, revoked_at) WHERE shadow = 1;

-- What would have been refused and has passed in shadow, by days that begin at midnight, UTC; kept for 31 of them. Times are Unix minutes.

-- Requests of a key by what they would have been refused for.
CREATE TABLE shadow_keys (
    day          BIGINT NOT NULL,
    key_seq      BIGINT NOT NULL REFERENCES api_keys (seq),
    rate_limited BIGINT NOT NULL,
    forbidden    BIGINT NOT NULL,
    expired      BIGINT NOT NULL,
    environment  BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    PRIMARY KEY (day, key_seq)
);

-- All requests of a gateway by reason, whoever came: the reasons are a list, and so are the gateways of a credential that are told apart.
CREATE TABLE shadow_reasons (
    day      BIGINT NOT NULL,
    gateway  TEXT COLLATE "C" NOT NULL,
    reason   TEXT COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (day, gateway, reason)
);

-- Whether a filter of the gateway is in shadow; NULL for one that does not say.
ALTER TABLE gateways ADD COLUMN shadow BIGINT;
