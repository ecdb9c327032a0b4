#!/bin/sh
# A new system: the program keeps its runs in the queue from the beginning. Usage: DATABASE=queue.db ./fresh.sh
. "$(dirname "$0")/common.sh"
start_server
"$PYTHON" "$here/program.py" registry.json "$url" --new 5
curl -sSf "$url/api/runs?module=convert&status=completed" | grep -q '"total":5'
echo "fresh: 5 runs have completed in the queue"
