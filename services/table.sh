#!/usr/bin/env bash
# Starts a real PostgreSQL and a real Debezium connector under Kafka Connect, beside the Kafka of up.sh, and waits until both
# answer. What already runs is left alone, so it may be called again; `table.sh postgres` starts that alone. down.sh stops them.
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

VALUE_SCHEMAS=${VALUE_SCHEMAS:-false} # whether each change has its schema around it

# The newest that is installed: Debian has it on no PATH.
postgres_directory() { find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2> /dev/null | sort -V | tail -n 1; }

require() {
    [ -n "$(postgres_directory)" ] && command -v psql > /dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || fail "missing: PostgreSQL (Debian, as root: apt-get install postgresql)"
    echo "PostgreSQL is missing and is installed now" >&2
    # In this runlevel the package starts no server of its own.
    { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends postgresql postgresql-client; } > /dev/null \
        || fail "apt-get could not install postgresql"
}

# PostgreSQL refuses to be root.
AS_POSTGRES=()
[ "$(id -u)" = 0 ] && AS_POSTGRES=(setpriv --reuid=postgres --regid=postgres --clear-groups)

# In the run folder, unless that lies where the user postgres may not go, as in /root.
data_directory() {
    if "${AS_POSTGRES[@]}" test -x "$RUN"; then echo "$RUN/postgres"; else echo "/tmp/peal-postgres-$POSTGRES_PORT"; fi
}

start_postgres() {
    alive "$RUN/postgres.pid" && return
    local data bin
    data=$(data_directory) bin=$(postgres_directory)
    if [ ! -f "$data/PG_VERSION" ]; then
        port_is_free "$POSTGRES_PORT" || fail "port $POSTGRES_PORT is taken by another program; choose another with POSTGRES_PORT"
        mkdir -p "$data"
        if [ "$(id -u)" = 0 ]; then chown postgres "$data"; fi
        ln -sfn "$data" "$RUN/postgres-data"
        (cd / && "${AS_POSTGRES[@]}" "$bin/initdb" --pgdata "$data" --username postgres --auth trust --no-instructions) > "$RUN/initdb.log" 2>&1 \
            || fail "PostgreSQL could not make its directory $data; see $RUN/initdb.log"
    fi
    cd / # where the user postgres may be
    start postgres "${AS_POSTGRES[@]}" "$bin/postgres" -D "$data" -c port="$POSTGRES_PORT" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c wal_level=logical
}

# Until it answers. What a server that was killed has left ends by itself, and keeps the next one from starting until then.
serve_postgres() {
    for _ in $(seq $((READY_SECONDS * 10))); do
        start_postgres
        postgres_answers && return
        sleep 0.1
    done
    fail "postgres is not ready after $READY_SECONDS s; the end of $RUN/postgres.log:" "$(tail -n 5 "$RUN/postgres.log")"
}

start_connect() {
    alive "$RUN/connect.pid" && return
    port_is_free "$CONNECT_PORT" || fail "port $CONNECT_PORT is taken by another program; choose another with CONNECT_PORT"
    { cat "$SERVICES/connect/worker.properties"
      echo "value.converter.schemas.enable=$VALUE_SCHEMAS"
      echo "bootstrap.servers=127.0.0.1:$(kafka_port 1)"
      echo "listeners=http://127.0.0.1:$CONNECT_PORT"
      echo "offset.storage.file.filename=$RUN/connect.offsets"; } > "$RUN/worker.properties"
    { cat "$SERVICES/connect/memberships.properties"
      echo "database.port=$POSTGRES_PORT"; } > "$RUN/memberships.properties"
    start connect java -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$SERVICES/log4j2.xml" \
        -cp "$JARS/*" org.apache.kafka.connect.cli.ConnectStandalone "$RUN/worker.properties" "$RUN/memberships.properties"
}

postgres_answers() { psql -h 127.0.0.1 -p "$POSTGRES_PORT" -U postgres -qtc 'select 1' > /dev/null 2>&1; }
connect_answers() { curl -sf "http://127.0.0.1:$CONNECT_PORT/connectors/memberships/status" 2> /dev/null | grep -q '"tasks":\[{"id":0,"state":"RUNNING"'; }

mkdir -p "$RUN"
RUN=$(cd "$RUN" && pwd)
JARS=$RUN/connect-jars
require
serve_postgres
if [ "${1:-}" != postgres ]; then
    fetch_jars "$SERVICES/connect/pom.xml" "$JARS"
    start_connect
    wait_for connect connect_answers
fi
echo "export PEAL_POSTGRES=postgresql://postgres@127.0.0.1:$POSTGRES_PORT/postgres"
