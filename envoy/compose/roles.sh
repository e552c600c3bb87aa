#!/bin/sh
# Run by PostgreSQL's image when it makes its database: the role that the control planes use, beside the one that owns the tables.
set -eu
psql -v ON_ERROR_STOP=1 -qX -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<END
CREATE ROLE flamegate LOGIN PASSWORD '$POSTGRES_SERVER_PASSWORD';
REVOKE ALL ON DATABASE $POSTGRES_DB FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE $POSTGRES_DB TO flamegate;
END
