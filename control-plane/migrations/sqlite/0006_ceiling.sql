-- The ceiling is in the record of every key, also when one of the key's own limits is within it: that one could be renamed,
-- and would begin to count anew each time. Records are composed when they are read, so nothing stored changes; gateways learn
-- of it: every key in the table of a workspace with a ceiling gets the next revision.
UPDATE api_keys SET revision = n.revision FROM (
    SELECT k.seq, (SELECT revision FROM revision_log) + row_number() OVER (ORDER BY k.seq) AS revision
    FROM api_keys k JOIN workspaces w ON w.seq = k.workspace_seq
    WHERE k.listed = 1 AND w.ceiling IS NOT NULL) AS n
WHERE api_keys.seq = n.seq;
UPDATE revision_log SET revision = max(revision, (SELECT COALESCE(max(revision), 0) FROM api_keys));
