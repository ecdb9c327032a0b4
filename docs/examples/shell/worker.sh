#!/bin/sh
# A worker in shell: it claims tasks of one type, runs a command with the payload on its standard input, and reports how that ended.
#
#   worker.sh TYPE COMMAND [ARGUMENT...]
#
# It needs curl and jq. THEQUEUE_SERVER is the address of the server, THEQUEUE_LEASE how many seconds a lease lasts. It is renewed at every third of that; when
# the task was cancelled, or the lease is lost, the command is stopped. SIGTERM stops the command, hands the task back, and ends the worker.
set -u
server=${THEQUEUE_SERVER:-http://127.0.0.1:8000}/api/queue
lease=${THEQUEUE_LEASE:-60}
type=$1 && shift
worker=$(hostname)-$$
dir=$(mktemp -d)
id='' child='' keeper=''

# Options of curl: an answer that is no success fails, and what may be sent again is.
cat >"$dir/curlrc" <<'END'
silent
show-error
fail
max-time = 40
retry = 5
retry-connrefused
header = "Content-Type: application/json"
END

# report VERB: says something about the task that is held; the JSON on standard input is what to say beside the token.
report() {
    jq --compact-output --arg token "$token" '. + {lease_token: $token}' | curl --config "$dir/curlrc" --data-binary @- "$server/tasks/$id/$1"
}

stop() {
    trap '' TERM INT
    for p in $keeper $child; do kill "$p" 2>/dev/null; done
    wait
    [ -z "$id" ] || echo '{}' | report release >/dev/null
    rm -rf "$dir"
    exit 0
}
trap stop TERM INT

keep() {
    while sleep "$(jq --null-input "$lease / 3")"; do
        echo "{\"lease_seconds\": $lease}" | report heartbeat | jq --exit-status '.cancel_requested | not' || kill "$child"
    done
}

jq --null-input --arg worker "$worker" --arg type "$type" --argjson lease "$lease" \
    '{worker_id: $worker, types: [$type], lease_seconds: $lease, wait_seconds: 20}' >"$dir/claim"
while :; do
    curl --config "$dir/curlrc" --data-binary @"$dir/claim" "$server/claim" >"$dir/claimed" &
    child=$!
    wait "$child" || { sleep 1; continue; }
    id=$(jq '.tasks[0].task_id // empty' "$dir/claimed")
    [ -n "$id" ] || continue
    token=$(jq --raw-output '.tasks[0].lease_token' "$dir/claimed")

    jq '.tasks[0].payload' "$dir/claimed" >"$dir/payload"
    "$@" <"$dir/payload" >"$dir/result" 2>"$dir/errors" &
    child=$!
    keep >/dev/null 2>&1 &
    keeper=$!
    if wait "$child"; then
        # The result is what the command has written: JSON, or else a text.
        jq --raw-input --slurp '{result: (. as $text | try fromjson catch $text)}' "$dir/result" | report complete >/dev/null
    else
        jq --raw-input --slurp '{error_message: .[-2000:]}' "$dir/errors" | report fail >/dev/null
    fi
    kill "$keeper" 2>/dev/null
    id='' child='' keeper=''
done
