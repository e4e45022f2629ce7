#!/usr/bin/env bash
# Runs a publisher and three nodes as processes of their own on the Kafka and the Redis of up.sh, until Ctrl-C. Which programs
# is said by BIN. The services stay; down.sh stops them.
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

BIN=${BIN:-target/release}      # where peal, peal-node and peal-publisher are
PORT=${PORT:-7000}              # the publisher's; the nodes have the ports behind it
NODES=${NODES:-3}

eval "$("$SERVICES/up.sh")"
"$BIN/peal" topics create --partitions 120

urls=$(for node in $(seq "$NODES"); do echo "ws://127.0.0.1:$((PORT + node))"; done | paste -sd,)
pids=()
stop() {
    trap - EXIT INT TERM
    if [ ${#pids[@]} -gt 0 ]; then kill "${pids[@]}" 2> /dev/null || true; fi
    wait
}
trap stop EXIT
# In groups of their own: Ctrl-C is for this script, which asks each of them once.
set -m
trap 'exit 130' INT
trap 'exit 143' TERM
for node in $(seq 0 $((NODES - 1))); do
    "$BIN/peal-node" --node "$node" --nodes "$urls" --listen "127.0.0.1:$((PORT + 1 + node))" --log warn &
    pids+=($!)
done
"$BIN/peal-publisher" --listen "127.0.0.1:$PORT" --log warn &
pids+=($!)
echo "Open http://127.0.0.1:$PORT/, or type in another terminal: $BIN/peal listen 42 --url http://127.0.0.1:$PORT"
# One that ends is a failure, and ends all.
wait -n
