# What the scripts of this directory share. THEQUEUE is the program, DATABASE where its tasks go, PYTHON a Python with the package thequeue.
set -eu
: "${THEQUEUE:=thequeue}" "${PYTHON:=python3}" "${DATABASE:?is the path of a SQLite file, or a postgres:// URL}"
here=$(dirname "$0")
server=

# start_server starts a server on a free port, and sets url.
start_server() {
    "$THEQUEUE" serve --addr 127.0.0.1:0 --workers 0 --database "$DATABASE" >server.out 2>server.log &
    server=$!
    trap stop_server EXIT
    tries=0
    until url=$(sed -n 's/.*listens on \(http:[^ ]*\) .*/\1/p' server.out) && [ -n "$url" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] && kill -0 "$server" || { cat server.log >&2; exit 1; }
        sleep 0.1
    done
}

# stop_server ends it in order: what workers hold is handed back.
stop_server() {
    [ -z "$server" ] || { kill "$server" && wait "$server" || true; }
    server=
}

now_ms() { "$PYTHON" -c 'import time; print(int(time.monotonic() * 1000))'; }
