#!/usr/bin/env bash
# Stops what up.sh started, and nothing else. Data stays unless --wipe is given.
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

STOP_SECONDS=20 # a broker writes its snapshot and closes its segments within a few

stop() {
    local file=$1 pid signal=TERM
    # By TERM PostgreSQL would wait for its clients to leave.
    [ "$(basename "$file")" = postgres.pid ] && signal=INT
    if alive "$file"; then
        read -r pid _ < "$file"
        kill -"$signal" "$pid" 2> /dev/null || true
        for _ in $(seq $((STOP_SECONDS * 10))); do
            alive "$file" || break
            sleep 0.1
        done
        if alive "$file"; then kill -9 "$pid" 2> /dev/null || true; fi
        echo "stopped $(basename "$file" .pid)"
    fi
    rm -f "$file"
}

if [ -f "$RUN/compose" ]; then
    wipe=()
    [ "${1:-}" = --wipe ] && wipe=(--volumes)
    docker compose -f "$SERVICES/compose.yaml" down "${wipe[@]}" >&2
    rm -f "$RUN/compose"
fi

# All brokers at once: the last of three could not stop in order without the others.
for file in "$RUN"/*.pid; do
    [ -e "$file" ] && stop "$file" &
done
wait
if [ "${1:-}" = --wipe ]; then
    if [ -L "$RUN/postgres-data" ]; then rm -rf "$(readlink "$RUN/postgres-data")" "$RUN/postgres-data"; fi
    rm -rf "$RUN"/kafka-* "$RUN"/redis "$RUN"/connect.offsets "$RUN"/*.log "$RUN"/cluster "$RUN"/brokers
fi
