-- What a search of keys looks at: name, hint and id, folded by the program (control-plane/src/domain/fold.rs), because no
-- database folds as another does.

ALTER TABLE api_keys ADD COLUMN folded TEXT;

-- Empty but for what is still to be done.
CREATE INDEX api_keys_unfolded ON api_keys (seq) WHERE folded IS NULL;
