-- A user's second factor (TOTP, RFC 6238): `secret` is what their app has, too, so it is there as it is; `last_step` is the number of the
-- 30 seconds whose code was used last. `since`: Unix milliseconds.
CREATE TABLE second_factors (
    user_seq  INTEGER PRIMARY KEY REFERENCES users (seq),
    secret    BLOB    NOT NULL CHECK (length(secret) = 20),
    since     INTEGER NOT NULL,
    last_step INTEGER NOT NULL
) STRICT;

-- What they may use instead, each once: SHA-256 of 80 random bits.
CREATE TABLE recovery_codes (
    user_seq INTEGER NOT NULL REFERENCES second_factors (user_seq),
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (user_seq, hash)
) STRICT, WITHOUT ROWID;
