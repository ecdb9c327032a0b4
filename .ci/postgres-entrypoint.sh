#!/bin/sh
# Entry point of the PostgreSQL image for tests. It understands what the official image does: POSTGRES_USER, POSTGRES_PASSWORD and
# POSTGRES_DB, and a command of "postgres" with settings. The server starts twice, once to make the database and once to serve; each
# time it logs that it is ready to accept connections.
set -eu

user=${POSTGRES_USER:-postgres}
db=${POSTGRES_DB:-$user}
data=/var/lib/postgresql/data
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
export PGPASSWORD="${POSTGRES_PASSWORD:?must be set}"

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

[ "${1:-postgres}" = postgres ] || exec "$@"
[ $# -eq 0 ] || shift

if [ ! -s "$data/PG_VERSION" ]; then
    install -d -m 700 -o postgres -g postgres "$data"
    printf '%s' "$PGPASSWORD" >/tmp/password
    chown postgres /tmp/password
    as_postgres initdb -D "$data" -U "$user" -A scram-sha-256 --pwfile=/tmp/password -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
    as_postgres pg_ctl -D "$data" -o '-c listen_addresses= -c unix_socket_directories=/tmp' -w start
    [ "$db" = postgres ] || createdb -h /tmp -U "$user" "$db"
    as_postgres pg_ctl -D "$data" -m fast -w stop
fi

setpriv --reuid=postgres --regid=postgres --init-groups postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp "$@" &
server=$!
trap 'kill -INT $server' TERM INT # fast: a session left open does not hold the end up
while kill -0 $server 2>/dev/null; do wait $server || status=$?; done
exit "${status:-0}"
