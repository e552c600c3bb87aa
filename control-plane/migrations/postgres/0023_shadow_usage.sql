-- Of what is over a limit, and of what is refused otherwise: how much has passed in shadow. Counts of before have none.
ALTER TABLE key_usage ADD COLUMN shadow_limited BIGINT NOT NULL DEFAULT 0;
ALTER TABLE key_usage ADD COLUMN shadow_refused BIGINT NOT NULL DEFAULT 0;
ALTER TABLE workspace_usage ADD COLUMN shadow_limited BIGINT NOT NULL DEFAULT 0;
ALTER TABLE workspace_usage ADD COLUMN shadow_refused BIGINT NOT NULL DEFAULT 0;
