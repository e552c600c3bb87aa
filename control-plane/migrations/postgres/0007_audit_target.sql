-- What was done to one thing, newest first, without a look at everything else that was done.

CREATE INDEX audit_log_target ON audit_log (target_id, seq) WHERE target_id IS NOT NULL;
