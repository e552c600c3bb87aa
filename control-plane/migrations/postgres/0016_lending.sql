-- The books of fleet limits, from an orderly stop to the next start, which takes the row out: after a crash there is none, and nothing is
-- known of what was lent. Only where one control plane keeps them in its memory.
CREATE TABLE saved_books (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    books    BYTEA NOT NULL
);
