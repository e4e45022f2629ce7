# What up.sh, table.sh and down.sh agree on: where the services keep their data, which ports they have, and how a process is
# started. Sourced, not run.

set -euo pipefail

SERVICES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RUN=${PEAL_SERVICES:-$SERVICES/run}     # data, logs and pid files
BROKERS=${BROKERS:-1}                   # 1 or 3
# Broker n has KAFKA_PORT + 10 (n - 1), its controller the port above that; at the next one clients have to say who they are.
KAFKA_PORT=${KAFKA_PORT:-19092}
REDIS_PORT=${REDIS_PORT:-16379}
POSTGRES_PORT=${POSTGRES_PORT:-15432}
CONNECT_PORT=${CONNECT_PORT:-18083}
READY_SECONDS=90 # a broker is ready after 4 on an idle machine and after 15 on a busy one, Kafka Connect after 8 and 30

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
started_at() { awk '{ sub(/.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2> /dev/null; }
alive() {
    local pid started
    [ -f "$1" ] && read -r pid started < "$1" && [ -n "$started" ] && [ "$(started_at "$pid")" = "$started" ]
}

# start <name> <command…>: in a session of its own, with a log and a pid file.
start() {
    local name=$1 pid
    shift
    setsid "$@" > "$RUN/$name.log" 2>&1 < /dev/null &
    pid=$!
    echo "$pid $(started_at "$pid")" > "$RUN/$name.pid"
}

port_is_free() { ! (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# wait_for <name> <command…>: until the command succeeds, or the service dies, or it takes too long.
wait_for() {
    local name=$1
    shift
    for _ in $(seq $((READY_SECONDS * 10))); do
        "$@" && return
        alive "$RUN/$name.pid" || fail "$name has stopped; the end of $RUN/$name.log:" "$(tail -n 5 "$RUN/$name.log")"
        sleep 0.1
    done
    fail "$name is not ready after $READY_SECONDS s; see $RUN/$name.log"
}

# fetch_jars <pom> <directory>: through Maven's cache in ~/.m2, which outlives the directory.
fetch_jars() {
    local pom=$1 jars=$2
    cmp -s "$pom" "$jars/complete" && return
    rm -rf "$jars"
    # To stderr: what the scripts say on stdout is for eval.
    mvn -q -B -Dstyle.color=never -f "$pom" dependency:copy-dependencies -DoutputDirectory="$jars" -DincludeScope=runtime >&2 \
        || fail "Maven could not fetch the jars of $pom; are Maven Central or a mirror in ~/.m2/settings.xml within reach?"
    cp "$pom" "$jars/complete"
}
