-- Who is on a plan: keys that are not revoked, in the order in which they were made, are a range; those that are, behind them, are the ones
-- that a deletion of the plan takes it from.
DROP INDEX api_keys_plan;
CREATE INDEX api_keys_plan ON api_keys (plan, revoked_at, seq) WHERE plan IS NOT NULL;
CREATE INDEX workspaces_plan ON workspaces (plan, seq) WHERE plan IS NOT NULL;
