#!/bin/sh
# The way back: what is unfinished in the queue goes into a registry, and the program runs it in memory, without the queue.
# Usage: DATABASE=queue.db ./disaster.sh registry.json   (a new file; the server must have been stopped, or be beyond help)
. "$(dirname "$0")/common.sh"
began=$(now_ms)
"$THEQUEUE" runs export "$1" --unfinished --database "$DATABASE"
"$PYTHON" "$here/program.py" "$1"
echo "disaster: back in memory after $(($(now_ms) - began)) ms"
