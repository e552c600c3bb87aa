-- What a key may be used for: JSON with lists of methods, paths and client addresses. NULL for everything.
ALTER TABLE api_keys ADD COLUMN restrictions TEXT;

-- The protocol that a gateway understands: one of 1 is told that a restricted key is gone.
ALTER TABLE gateways ADD COLUMN accepts INTEGER NOT NULL DEFAULT 1;
