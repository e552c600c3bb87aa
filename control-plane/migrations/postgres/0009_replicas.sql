-- Several control planes on one database: who they are, and what each knows of the gateways that poll it.
-- Times: Unix milliseconds by the database's clock, but for `started_at`, `first_seen` and `last_seen`, which are a replica's.
-- Where there is one control plane only, these stay empty.

-- `head`: everything that the replica holds of gateways which it answered below this revision is in `gateways`.
CREATE TABLE replicas (
    id         TEXT   COLLATE "C" PRIMARY KEY,
    version    TEXT   NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat  BIGINT NOT NULL,
    beat       BIGINT NOT NULL,
    head       BIGINT NOT NULL,
    polls      BIGINT NOT NULL
);

-- `keeper` is the replica that the gateway polled last, and `beat` its count when it wrote the row.
ALTER TABLE gateways ADD COLUMN keeper TEXT COLLATE "C";
ALTER TABLE gateways ADD COLUMN beat BIGINT NOT NULL DEFAULT 0;
ALTER TABLE gateways ADD COLUMN has_table BIGINT NOT NULL DEFAULT 1;
ALTER TABLE gateways ADD COLUMN acknowledged BIGINT;
ALTER TABLE gateways ADD COLUMN acknowledged_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE gateways ADD COLUMN expected_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE gateways ADD COLUMN stale BIGINT NOT NULL DEFAULT 0;
ALTER TABLE gateways ADD COLUMN workers BIGINT;
ALTER TABLE gateways ADD COLUMN other_database BIGINT NOT NULL DEFAULT 0;
ALTER TABLE gateways ADD COLUMN leaving_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE gateways ADD COLUMN forgotten BIGINT NOT NULL DEFAULT 0;

CREATE INDEX gateways_by_keeper ON gateways (keeper, beat);

-- Moves with every change of gateways' credentials, so that replicas know when to read them again.
ALTER TABLE revision_log ADD COLUMN credentials BIGINT NOT NULL DEFAULT 0;

-- Attempts to sign in and wrong tokens: until when an account or a place is busy with those so far.
CREATE TABLE throttles (
    subject TEXT   COLLATE "C" PRIMARY KEY,
    rest_at BIGINT NOT NULL
);

CREATE INDEX throttles_by_rest ON throttles (rest_at);
