-- What an operator allows: a ceiling for every key of a workspace, limits of the whole workspace, how many keys may be
-- active, and which people are operators. Limits are JSON as in the key record.

ALTER TABLE workspaces ADD COLUMN ceiling TEXT;                              -- one limit named `ceiling`; NULL for none
ALTER TABLE workspaces ADD COLUMN workspace_limits TEXT NOT NULL DEFAULT '[]';
ALTER TABLE workspaces ADD COLUMN max_active_keys INTEGER CHECK (max_active_keys >= 0); -- NULL for as many as one likes
ALTER TABLE users ADD COLUMN is_operator INTEGER NOT NULL DEFAULT 0 CHECK (is_operator IN (0, 1));

-- The active keys of a workspace are counted with every key that is made.
CREATE INDEX api_keys_active ON api_keys (workspace_seq, expires_at) WHERE listed = 1;

-- Limits of scope `workspace` stood with keys and in the default. They become the workspace's: one set of numbers for a
-- name, the tightest rate and the tightest burst that anything active had. A record holds four limits: there are as many
-- names, the tightest ones, as leave room for the longest list of limits that the default or an active key has besides,
-- but one at least, because it was meant for all keys. `ceiling` is a name of the ceiling's own from now on.
CREATE TABLE migration_found AS
SELECT w.seq AS workspace_seq, l.value ->> 'name' AS name, l.value ->> 'requests' AS requests,
    l.value ->> 'window_seconds' AS window_seconds, COALESCE(l.value ->> 'burst', l.value ->> 'requests') AS burst
FROM workspaces w, json_each(w.default_limits) l WHERE l.value ->> 'scope' = 'workspace'
UNION ALL
SELECT k.workspace_seq, l.value ->> 'name', l.value ->> 'requests', l.value ->> 'window_seconds',
    COALESCE(l.value ->> 'burst', l.value ->> 'requests')
FROM api_keys k, json_each(k.limits) l WHERE k.listed = 1 AND l.value ->> 'scope' = 'workspace';

UPDATE migration_found SET name = 'workspace-ceiling' WHERE name = 'ceiling';

CREATE TABLE migration_room AS
SELECT seq AS workspace_seq, max(1, 4 - max(
    (SELECT count(*) FROM json_each(w.default_limits) l WHERE l.value ->> 'scope' IS NOT 'workspace'),
    (SELECT COALESCE(max((SELECT count(*) FROM json_each(k.limits) l WHERE l.value ->> 'scope' IS NOT 'workspace')), 0)
     FROM api_keys k WHERE k.workspace_seq = w.seq AND k.listed = 1))) AS room
FROM workspaces w;

UPDATE workspaces SET workspace_limits = (
    SELECT json_group_array(json_object('name', name, 'scope', 'workspace', 'requests', requests,
        'window_seconds', window_seconds, 'burst', burst))
    FROM (
        SELECT name, requests, window_seconds, burst,
            row_number() OVER (ORDER BY 1.0 * requests / window_seconds, name) AS tightness
        FROM (
            SELECT name, requests, window_seconds,
                min(burst) OVER (PARTITION BY name) AS burst,
                row_number() OVER (PARTITION BY name ORDER BY 1.0 * requests / window_seconds, window_seconds) AS place
            FROM migration_found f WHERE f.workspace_seq = workspaces.seq)
        WHERE place = 1)
    WHERE tightness <= (SELECT room FROM migration_room r WHERE r.workspace_seq = workspaces.seq) ORDER BY tightness)
WHERE seq IN (SELECT workspace_seq FROM migration_found);
DROP TABLE migration_found;
DROP TABLE migration_room;

UPDATE workspaces SET default_limits = (
    SELECT json_group_array(json(l.value)) FROM json_each(workspaces.default_limits) l
    WHERE l.value ->> 'scope' IS NOT 'workspace')
WHERE EXISTS (SELECT 1 FROM json_each(workspaces.default_limits) l WHERE l.value ->> 'scope' = 'workspace');

UPDATE api_keys SET limits = (
    SELECT json_group_array(json(l.value)) FROM json_each(api_keys.limits) l WHERE l.value ->> 'scope' IS NOT 'workspace')
WHERE EXISTS (SELECT 1 FROM json_each(api_keys.limits) l WHERE l.value ->> 'scope' = 'workspace');

-- Gateways learn of it: every key in the table of a workspace that has such limits now gets the next revision.
UPDATE api_keys SET revision = n.revision FROM (
    SELECT k.seq, (SELECT revision FROM revision_log) + row_number() OVER (ORDER BY k.seq) AS revision
    FROM api_keys k JOIN workspaces w ON w.seq = k.workspace_seq
    WHERE k.listed = 1 AND w.workspace_limits <> '[]') AS n
WHERE api_keys.seq = n.seq;
UPDATE revision_log SET revision = max(revision, (SELECT COALESCE(max(revision), 0) FROM api_keys));
