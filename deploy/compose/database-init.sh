#!/bin/sh
# First start of the database's volume: the role that owns the schema, and the extension.
set -eu
if [ -z "${MIZUMORI_DATABASE__OWNER_PASSWORD:-}" ]; then
    echo "MIZUMORI_DATABASE__OWNER_PASSWORD is not set: fill in deploy/compose/.env." >&2
    exit 1
fi
# psql reads the password from its environment, so it stands in no process list.
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv password MIZUMORI_DATABASE__OWNER_PASSWORD
create role mizumori_owner with login createrole password :'password';
alter database mizumori owner to mizumori_owner;
grant all on schema public to mizumori_owner;
create extension if not exists timescaledb;
SQL
