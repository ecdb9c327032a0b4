#!/bin/sh
# A system that is running: what the registry has in flight is brought over, and workers of the queue run it.
# Usage: DATABASE=queue.db ./running.sh run_history.json   (of the older program, which must have been stopped)
. "$(dirname "$0")/common.sh"
registry=$1
"$THEQUEUE" runs import "$registry" --database "$DATABASE" --dry-run   # 1. look
"$THEQUEUE" runs import "$registry" --database "$DATABASE"             # 2. bring over, in one transaction
"$THEQUEUE" runs import "$registry" --database "$DATABASE" | grep 'imported: 0'   # nothing comes twice
start_server                                                           # 3. go on
"$PYTHON" "$here/worker.py" "$url" &
worker=$!
trap 'kill "$worker"; stop_server' EXIT
while curl -sSf "$url/api/queue/stats" | grep -qv '"queued_tasks":0,"processing_tasks":0'; do
    kill -0 "$worker"
    sleep 0.1
done
curl -sSf "$url/api/runs?module=convert&status=completed&limit=1" | sed 's/.*"total":\([0-9]*\).*/running: \1 runs have completed in the queue/'
