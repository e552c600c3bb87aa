-- A user's second factor (TOTP, RFC 6238): `secret` is what their app has, too, so it is there as it is; `last_step` is the number of the
-- 30 seconds whose code was used last. `since`: Unix milliseconds.
CREATE TABLE second_factors (
    user_seq  BIGINT PRIMARY KEY REFERENCES users (seq),
    secret    BYTEA  NOT NULL CHECK (length(secret) = 20),
    since     BIGINT NOT NULL,
    last_step BIGINT NOT NULL
);

-- What they may use instead, each once: SHA-256 of 80 random bits.
CREATE TABLE recovery_codes (
    user_seq BIGINT NOT NULL REFERENCES second_factors (user_seq),
    hash     BYTEA  NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (user_seq, hash)
);
