#!/bin/sh
# A worker in shell: it claims tasks of one type, runs a command with the payload on its standard input, and reports how that ended.
#
#   worker.sh TYPE COMMAND [ARGUMENT...]
#
# It needs curl and jq. THEQUEUE_SERVER is the address of the server, THEQUEUE_LEASE how many seconds a lease lasts. It is renewed at every third of that; when
# the task was cancelled, or the lease is lost, the command is stopped. SIGTERM stops the command, hands the task back, and ends the worker. A server that wants a key gets that of
# PRISMQ_API_KEY, and is trusted by the certificates of PRISMQ_CA_FILE.
set -u
server=${THEQUEUE_SERVER:-http://127.0.0.1:8000}/api/queue
lease=${THEQUEUE_LEASE:-60}
type=$1 && shift
worker=$(hostname)-$$
child='' keeper=''
dir=$(mktemp -d)
cd "$dir" || exit 1

# held FIELD: prints a field of the task that is held; nothing when there is none.
held() { jq --raw-output ".tasks[0].$1 // empty" claimed 2>/dev/null; }

# report VERB: says something about the task that is held; the JSON on standard input is what to say beside the token.
report() {
    jq --compact-output --arg token "$(held lease_token)" '. + {lease_token: $token}' |
        curl --config curlrc --data-binary @- "$server/tasks/$(held task_id)/$1"
}

stop() {
    trap '' TERM INT
    [ -n "$keeper" ] || sleep 0.5 # the answer to a claim may be on the way
    for p in $keeper $child; do kill "$p"; done
    wait
    [ -z "$(held task_id)" ] || echo '{}' | report release >released
    rm -rf "$dir"
    exit 0
}
trap stop TERM INT

keep() {
    while sleep "$(jq --null-input "$lease / 3")" && kill -0 $$; do
        echo "{\"lease_seconds\": $lease}" | report heartbeat | jq --exit-status '.cancel_requested | not' || { kill "$child"; return; }
    done
}

# An answer that is no success fails; what may be sent again is.
cat >curlrc <<'END'
silent
show-error
fail
max-time = 40
retry = 5
retry-connrefused
header = "Content-Type: application/json"
END
[ -z "${PRISMQ_API_KEY:-}" ] || echo "header = \"Authorization: Bearer $PRISMQ_API_KEY\"" >>curlrc
[ -z "${PRISMQ_CA_FILE:-}" ] || echo "cacert = \"$PRISMQ_CA_FILE\"" >>curlrc
unset PRISMQ_API_KEY # which is no affair of the command
jq --null-input --arg worker "$worker" --arg type "$type" --argjson lease "$lease" \
    '{worker_id: $worker, types: [$type], lease_seconds: $lease, wait_seconds: 20}' >claim

while :; do
    curl --config curlrc --data-binary @claim "$server/claim" >claimed &
    child=$!
    wait "$child" || { sleep 1; continue; }
    [ -n "$(held task_id)" ] || continue

    held payload | "$@" >result 2>errors &
    child=$!
    keep >kept 2>&1 &
    keeper=$!
    if wait "$child"; then
        # The result is what the command has written: JSON, or else a text.
        jq --raw-input --slurp '{result: (. as $text | try fromjson catch $text)}' result | report complete >ended
    else
        jq --raw-input --slurp '{error_message: .[-2000:]}' errors | report fail >ended
    fi
    kill "$keeper"
    child='' keeper=''
    : >claimed
done
