-- How fast a revocation was in force: what its page tells for good, and how fast revocations of a workspace are. One row for each that
-- was measured, written once, some time after the revocation and never with it.
CREATE TABLE revocation_receipts (
    key_seq       BIGINT PRIMARY KEY REFERENCES api_keys (seq),
    workspace_seq BIGINT NOT NULL,
    measured_at   BIGINT NOT NULL,  -- Unix milliseconds
    gateways      BIGINT NOT NULL,  -- connected then
    enforced      BIGINT NOT NULL,  -- of those, how many had confirmed it
    cut_off       BIGINT NOT NULL,  -- not connected, and may have gone on with the key
    slowest_ms    BIGINT            -- of those that had confirmed it
);
CREATE INDEX revocation_receipts_newest ON revocation_receipts (workspace_seq, measured_at);

-- What its owners say of a key, one line.
ALTER TABLE api_keys ADD COLUMN note TEXT;
