# What up.sh and down.sh agree on: where the services keep their data and which ports they have. Sourced, not run.

set -euo pipefail

SERVICES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RUN=${PEAL_SERVICES:-$SERVICES/run}     # data, logs and pid files
BROKERS=${BROKERS:-1}                   # 1 or 3
# Broker n has KAFKA_PORT + 10 (n - 1), its controller the port above that; at the next one clients have to say who they are.
KAFKA_PORT=${KAFKA_PORT:-19092}
REDIS_PORT=${REDIS_PORT:-16379}

fail() {
    echo "$*" >&2
    exit 1
}

# kafka_port <broker> · controller_port <broker> · guarded_port <broker>
kafka_port() { echo $((KAFKA_PORT + 10 * ($1 - 1))); }
controller_port() { echo $((KAFKA_PORT + 10 * ($1 - 1) + 1)); }
guarded_port() { echo $((KAFKA_PORT + 10 * ($1 - 1) + 2)); }

# Whether the process of a pid file lives and is the one that was started: its start time is in the file too, because the
# system gives a number out again.
started_at() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2> /dev/null; }
alive() {
    local pid started
    [ -f "$1" ] && read -r pid started < "$1" && [ -n "$started" ] && [ "$(started_at "$pid")" = "$started" ]
}
