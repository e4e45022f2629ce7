#!/usr/bin/env bash
# Starts a real Kafka (KRaft; BROKERS=3 for three) and a real Redis on loopback and waits until both answer. What already
# runs is left alone, so it may be called again. down.sh stops them.
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

JARS=$RUN/jars

require() {
    local missing=()
    command -v java > /dev/null || missing+=("Java 17 or newer (Debian: apt-get install default-jre-headless)")
    command -v mvn > /dev/null || [ -f "$JARS/complete" ] || missing+=("Maven (Debian: apt-get install maven)")
    if ! command -v redis-server > /dev/null; then
        if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
            install_redis || missing+=("redis-server: apt-get could not install it")
        else
            missing+=("redis-server (Debian, as root: apt-get install redis-server)")
        fi
    fi
    [ ${#missing[@]} = 0 ] && return
    if [ "$BROKERS" = 1 ] && docker compose version > /dev/null 2>&1; then
        in_containers
        exit
    fi
    printf 'missing: %s\n' "${missing[@]}" "or, instead of all these: docker compose" >&2
    exit 1
}

# Kafka and Redis as containers; down.sh looks for the mark.
in_containers() {
    echo "${missing[0]%% *} is missing here; Kafka and Redis run as containers" >&2
    touch "$RUN/compose"
    KAFKA_PORT=$KAFKA_PORT GUARDED_PORT=$(guarded_port 1) REDIS_PORT=$REDIS_PORT \
        docker compose -f "$SERVICES/compose.yaml" up --detach --wait >&2
    say_addresses
}

install_redis() {
    echo "redis-server is missing and is installed now"
    # Only the program: the package would start a server of its own.
    apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends redis-server > /dev/null
}

quick_java() { java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$JARS/*" "$@"; }

voters() {
    local sep='' broker
    for broker in $(seq "$BROKERS"); do
        printf '%s%s@127.0.0.1:%s' "$sep" "$broker" "$(controller_port "$broker")"
        sep=,
    done
}

# How many brokers keep a record, and how many have to before it is answered.
copies() { [ "$BROKERS" -ge 3 ] && echo 3 || echo 1; }
copies_min() { [ "$BROKERS" -ge 3 ] && echo 2 || echo 1; }

# Where a client has to be the user peal with the password secret: SASL's PLAIN, without TLS.
guarded() { echo "GUARDED://127.0.0.1:$(guarded_port "$1")"; }

properties() {
    local broker=$1
    cat << END
process.roles=broker,controller
node.id=$broker
controller.quorum.voters=$(voters)
listeners=PLAINTEXT://127.0.0.1:$(kafka_port "$broker"),CONTROLLER://127.0.0.1:$(controller_port "$broker"),$(guarded "$broker")
advertised.listeners=PLAINTEXT://127.0.0.1:$(kafka_port "$broker"),$(guarded "$broker")
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_PLAINTEXT
listener.name.guarded.sasl.enabled.mechanisms=PLAIN
listener.name.guarded.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_peal="secret";
log.dirs=$RUN/kafka-$broker
auto.create.topics.enable=false
default.replication.factor=$(copies)
min.insync.replicas=$(copies_min)
offsets.topic.replication.factor=$(copies)
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=$(copies)
transaction.state.log.min.isr=$(copies_min)
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$(copies)
share.coordinator.state.topic.min.isr=$(copies_min)
# A quiet partition commits nothing; its commit has to outlive every record, or an old event would be fanned out again.
offsets.retention.minutes=43200
group.initial.rebalance.delay.ms=0
replica.lag.time.max.ms=5000
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.segment.bytes=67108864
END
}

start_broker() {
    local broker=$1 name=kafka-$1 port
    alive "$RUN/$name.pid" && return
    for port in "$(kafka_port "$broker")" "$(controller_port "$broker")" "$(guarded_port "$broker")"; do
        port_is_free "$port" || fail "port $port is taken by another program; choose others with KAFKA_PORT"
    done
    properties "$broker" > "$RUN/$name.properties"
    if [ ! -f "$RUN/$name/meta.properties" ]; then
        quick_java kafka.tools.StorageTool format -t "$(cat "$RUN/cluster")" -c "$RUN/$name.properties" > "$RUN/$name.log" \
            || fail "Kafka could not make its directory $RUN/$name; see $RUN/$name.log"
    fi
    # Unless said otherwise, one thread collects garbage and the quick compiler compiles: ready in half the time and half the processor.
    local heap=${KAFKA_HEAP_OPTS:--Xmx512m} performance=${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseSerialGC -XX:TieredStopAtLevel=1}
    # shellcheck disable=SC2086 # each is several words, as in Kafka's own scripts
    start "$name" java $heap $performance \
        -Dlog4j2.configurationFile="$SERVICES/log4j2.xml" -cp "$JARS/*" kafka.Kafka "$RUN/$name.properties"
}

start_redis() {
    alive "$RUN/redis.pid" && return
    port_is_free "$REDIS_PORT" || fail "port $REDIS_PORT is taken by another program; choose another with REDIS_PORT"
    mkdir -p "$RUN/redis"
    start redis redis-server --bind 127.0.0.1 --port "$REDIS_PORT" --dir "$RUN/redis" --save '' \
        --appendonly yes --appendfsync everysec --maxmemory-policy noeviction \
        --stream-node-max-bytes 512 # what a user's first notification takes; 4096 by default
}

broker_answers() { grep -q 'Kafka Server started' "$RUN/$1.log"; }
redis_answers() { [ "$(redis-cli -h 127.0.0.1 -p "$REDIS_PORT" ping 2> /dev/null)" = PONG ]; }

say_addresses() {
    local addresses
    addresses=$(for broker in $(seq "$BROKERS"); do echo "127.0.0.1:$(kafka_port "$broker")"; done | paste -sd,)
    echo "export PEAL_BROKERS=$addresses"
    echo "export PEAL_BROKERS_GUARDED=127.0.0.1:$(guarded_port 1)"
    echo "export PEAL_REDIS=redis://127.0.0.1:$REDIS_PORT"
}

[ "$BROKERS" = 1 ] || [ "$BROKERS" = 3 ] || fail "BROKERS is 1 or 3, not $BROKERS"
mkdir -p "$RUN"
RUN=$(cd "$RUN" && pwd)
require
JARS=$RUN/jars
if [ -f "$RUN/brokers" ] && [ "$(cat "$RUN/brokers")" != "$BROKERS" ]; then
    fail "$RUN was made for $(cat "$RUN/brokers") broker(s), not $BROKERS; services/down.sh --wipe empties it"
fi
fetch_jars "$SERVICES/pom.xml" "$JARS"
[ -f "$RUN/cluster" ] || quick_java kafka.tools.StorageTool random-uuid > "$RUN/cluster"
echo "$BROKERS" > "$RUN/brokers"
start_redis
for broker in $(seq "$BROKERS"); do start_broker "$broker"; done
for broker in $(seq "$BROKERS"); do wait_for "kafka-$broker" broker_answers "kafka-$broker"; done
wait_for redis redis_answers

say_addresses
