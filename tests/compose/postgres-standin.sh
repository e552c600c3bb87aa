#!/bin/sh
# The entry point of the stand-in for the image `postgres`: what the real one does at a first start, as its documentation says, with this
# machine's PostgreSQL. A database of POSTGRES_DB for POSTGRES_USER with POSTGRES_PASSWORD, then /docker-entrypoint-initdb.d, then the server.
set -eu
data=/var/lib/postgresql/data/pgdata
export PGHOST=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    printf '%s' "$POSTGRES_PASSWORD" > "$data.password"
    initdb -D "$data" -U "$POSTGRES_USER" -A scram-sha-256 --pwfile="$data.password" -N -E UTF8 --locale=C.UTF-8
    rm "$data.password"
    printf 'host all all all scram-sha-256\n' >> "$data/pg_hba.conf"
    postgres -D "$data" -h '' -k "$PGHOST" &
    server=$!
    until pg_isready -q; do sleep 0.1; done
    export PGPASSWORD="$POSTGRES_PASSWORD"
    psql -qX -U "$POSTGRES_USER" -d postgres -c "CREATE DATABASE $POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sh; do "$script"; done
    kill -INT "$server"
    wait "$server"
fi
exec postgres -D "$data" -h '*' -k "$PGHOST"
