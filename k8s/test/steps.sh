# What run.sh does, a function a step: each waits for what it says, within limits, and leaves what it saw in SAW. Sourced, not run.

NAMESPACE=peal
ROLLOUT=300s    # all pods of a kind, on machines that do other things too
BACK=120        # seconds until clients of all nodes are told again; a lease runs out after 5

BEGUN=$SECONDS
SAW=
RESULT=${RESULT:-/dev/null}

say() { echo "$*" | tee -a "$RESULT"; }

begin_result() {
    local commit machines version
    commit=$(git rev-parse --short HEAD)$(git diff --quiet HEAD || echo ' and changes')
    machines=$(kubectl get nodes --no-headers | wc -l)
    version=$(kubectl get --raw /version | sed -n 's/.*"gitVersion": "\([^"]*\)".*/\1/p')
    cat > "$RESULT" << END
# A cluster on Kubernetes that is broken while clients listen

Written by \`make test-k8s\` with \`RESULT=docs/kubernetes.md\` ([how](../k8s/README.md#how-it-is-tested)): k8s/overlays/local with the
images of this commit, Kafka and Redis in pods too, and a witness that posts 1.6 events a second to four communities of 48 users. How
long anybody waited is of users who are always there, from the answer to the post until they were told.

END
    say "Commit $commit, $(date -u '+%F %R') UTC, Kubernetes $version" \
        "with $machines machines, seen from one of $(nproc) cores."
    say
    say "| what is done | what was seen | took |"
    say "|---|---|---|"
}

end_result() {
    say
    say "All of it took $((SECONDS - BEGUN)) s."
}

# step <what> <function>: one row of the result.
step() {
    local begun=$SECONDS
    CURRENT=$1
    SAW=
    "$2"
    say "| $CURRENT | ${SAW:-it is so} | $((SECONDS - begun)) s |"
}

# What pods said goes to stderr when a step failed; what was made is taken away again.
finish() {
    local code=$? pod
    trap - EXIT INT TERM
    if [ $code != 0 ]; then
        say "| ${CURRENT:-} | FAILED${SAW:+: $SAW} | |"
        {
            k get pods -o wide
            k get events --sort-by .lastTimestamp | tail -n 30
            for pod in $(k get pods -o name); do
                echo "== $pod"
                k logs "$pod" --all-containers --tail 15
            done
        } >&2 || true
    fi
    [ -z "${WITNESS_PID:-}" ] || kill "$WITNESS_PID" 2> /dev/null || true
    [ -z "${LOST:-}" ] || machine_up "$LOST" || true
    kubectl delete namespace $NAMESPACE --wait=false > /dev/null 2>&1 || true
    exit $code
}

k() { kubectl -n $NAMESPACE "$@"; }

# await <seconds> <what> <command…>: until the command succeeds.
await() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $until ] || { echo "$what: not in time" >&2; return 1; }
        sleep 0.5
    done
}

# await_other <seconds> <pod> <uid>: until another pod of that name is there.
await_other() { await "$1" "another $2" is_other "$2" "$3"; }
is_other() { local now; now=$(uid "$1") && [ "$now" != "$2" ]; }
uid() { k get pod "$1" -o jsonpath='{.metadata.uid}'; }
machine_of() { k get pod "$1" -o jsonpath='{.spec.nodeName}'; }

pods_ready() {
    k rollout status statefulset/peal-node --timeout $ROLLOUT > /dev/null
    k rollout status deployment/peal-publisher --timeout $ROLLOUT > /dev/null
    k rollout status deployment/peal-controller --timeout $ROLLOUT > /dev/null
}

# One line of the witness' answers to a word.
tell() {
    echo "$*" >&"$WORDS"
    read -r -t 300 ANSWER <&"$ANSWERS" || { echo "the witness does not answer to: $*" >&2; return 1; }
}

# Clients of all nodes are told again.
back() {
    tell back $BACK
    SAW="${SAW:+$SAW; }$ANSWER"
}

apply() {
    ! kubectl get namespace $NAMESPACE > /dev/null 2>&1 || { echo "the namespace $NAMESPACE is there already" >&2; return 1; }
    kubectl apply -k k8s/test/this > /dev/null
    k rollout status statefulset/kafka --timeout $ROLLOUT > /dev/null
    k rollout status statefulset/redis --timeout $ROLLOUT > /dev/null
    pods_ready
    k wait --for=condition=Ready pod/witness --timeout $ROLLOUT > /dev/null
    SAW="$(k get pods --no-headers | wc -l) pods run, the nodes on $(machines_of_nodes) machines;"
    SAW="$SAW $(k get pods --no-headers | awk '{ n += $4 } END { print n }') restarts"
}

machines_of_nodes() { k get pods -l app.kubernetes.io/name=peal-node -o jsonpath='{.items[*].spec.nodeName}' | tr ' ' '\n' | sort -u | wc -l; }

refuse_privileged() {
    local said
    said=$(k run intruder --image localhost/peal:test --privileged --dry-run=server 2>&1) && return 1
    [[ $said == *'violates PodSecurity "restricted'* ]] || { echo "$said" >&2; return 1; }
    SAW='`violates PodSecurity "restricted:latest"`'
}

begin_witness() {
    coproc WITNESS { exec kubectl -n $NAMESPACE attach --stdin witness --container witness --quiet 2> /dev/null; }
    # Its own names for these are gone as soon as it ends, and its last words with them.
    exec {WORDS}>&"${WITNESS[1]}" {ANSWERS}<&"${WITNESS[0]}"
    tell begin
    [ "$ANSWER" = begun ] || { echo "the witness says: $ANSWER" >&2; return 1; }
}

evict() {
    kubectl create --raw "/api/v1/namespaces/$NAMESPACE/pods/$1/eviction" -f - 2>&1 << END
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$1", "namespace": "$NAMESPACE"}}
END
}

evict_two() {
    local before first second
    before=$(uid peal-node-0)
    first=$(evict peal-node-0) || { echo "$first" >&2; return 1; }
    second=$(evict peal-node-1) && { echo "both were evicted: $first $second" >&2; return 1; }
    [[ $second == *"disruption budget"* ]] || { echo "$second" >&2; return 1; }
    SAW='the second: `Cannot evict pod as it would violate the pod'"'"'s disruption budget`'
    await_other 120 peal-node-0 "$before"
    pods_ready
    back
}

# A node on another machine than Kafka, Redis and the witness.
distant_node() {
    local home pod
    home=$(machine_of kafka-0)
    for pod in $(k get pods -l app.kubernetes.io/name=peal-node -o jsonpath='{.items[*].metadata.name}'); do
        [ "$(machine_of "$pod")" = "$home" ] || { echo "$pod"; return; }
    done
    echo "all nodes are on the machine of Kafka: this test wants two machines at least" >&2
    return 1
}

drain_machine() {
    local machine pods
    machine=$(machine_of "$(distant_node)")
    pods=$(k get pods --field-selector "spec.nodeName=$machine" --no-headers | wc -l)
    kubectl drain "$machine" --ignore-daemonsets --delete-emptydir-data --timeout $ROLLOUT > /dev/null 2>&1
    pods_ready
    SAW="$pods pods go elsewhere"
    back
    kubectl uncordon "$machine" > /dev/null
}

kill_pod() {
    local pod=peal-node-1 before
    before=$(uid $pod)
    k delete pod $pod --grace-period 0 --force > /dev/null 2>&1
    await_other 60 $pod "$before"
    pods_ready
    back
}

machine_down() { eval "${MACHINE_DOWN//\{\}/$1}"; }
machine_up() { eval "${MACHINE_UP//\{\}/$1}"; }

lose_machine() {
    local pod before
    pod=$(distant_node)
    before=$(uid "$pod")
    LOST=$(machine_of "$pod")
    machine_down "$LOST"
    # Nobody says that the machine does not come back: the controller gives its node up.
    await_other 300 "$pod" "$before"
    pods_ready
    back
}

find_machine() {
    machine_up "$LOST"
    await 120 "$LOST is back" kubectl wait --for=condition=Ready "node/$LOST" --timeout 1s
    LOST=
    back
}

shards() { kubectl get --raw "/api/v1/namespaces/$NAMESPACE/services/peal-publisher:7000/proxy/v1/shards"; }

# Whether each of so many nodes owns as much as any other, and reads it.
are_spread_over() {
    shards | python3 -c '
import json, sys
shards, nodes = json.load(sys.stdin), int(sys.argv[1])
owning = [member for member in shards["members"] if member["owns"]]
settled = not shards["to_move"] and not shards["under_way"] and all(owner["read"] for owner in shards["owners"])
fair = [member["owns"] for member in owning] == [shards["partitions"] // nodes] * nodes
sys.exit(not (shards["nodes"] == nodes and settled and fair))' "$1"
}

scale_up() {
    k scale statefulset/peal-node --replicas 6 > /dev/null
    await 180 "the users are spread over 6 nodes" are_spread_over 6
    pods_ready
    SAW="20 partitions a node"
    back
}

scale_down() {
    k scale statefulset/peal-node --replicas 3 > /dev/null
    await 180 "the users are spread over 3 nodes" are_spread_over 3
    await 120 "the other pods are gone" has_nodes 3
    SAW="40 partitions a node"
    back
}

has_nodes() { [ "$(k get pods -l app.kubernetes.io/name=peal-node --no-headers | wc -l)" = "$1" ]; }

images_of_nodes() { k get pods -l app.kubernetes.io/name=peal-node -o jsonpath='{.items[*].spec.containers[0].image}' | tr ' ' '\n' | sort | uniq -c | xargs; }

roll_out() {
    kubectl apply -k k8s/test/next > /dev/null
    pods_ready
    SAW="$(images_of_nodes)"
    back
}

# Of three users who know the first node alone, those of the other two.
relay() {
    local user
    k apply -f k8s/test/next/listeners.yaml > /dev/null
    k wait --for=condition=Ready pod/listeners --timeout $ROLLOUT > /dev/null
    await 60 "the first node carries two sockets" carries_two
    for user in 300 301 302; do
        k exec listeners --container user-300 -- /peal join 9 $user --url http://peal-publisher:7000 > /dev/null
    done
    for user in 300 301 302; do await 60 "user $user is told" is_told $user; done
    SAW="two of three sockets are carried, and all three users are told"
}

carries_two() { kubectl get --raw "/api/v1/namespaces/$NAMESPACE/pods/peal-node-0:7001/proxy/metrics" | grep -x 'peal_node_relayed_sockets{node="0"} 2'; }
is_told() { k logs listeners --container "user-$1" | grep '"notification":{'; }

roll_out_rubbish() {
    k set image statefulset/peal-node node=localhost/peal-node:nowhere > /dev/null
    await 120 "peal-node-2 waits for its image" waits_for_image peal-node-2
    SAW="$(images_of_nodes)"
    back
}

waits_for_image() { k get pod "$1" -o jsonpath='{.status.containerStatuses[0].state.waiting.reason}' | grep -q Image; }

roll_back() {
    k rollout undo statefulset/peal-node > /dev/null
    # Kubernetes waits for the pod that is stuck, which nobody but us can take away.
    k delete pod peal-node-2 > /dev/null
    pods_ready
    SAW="$(images_of_nodes)"
    back
}

end_witness() {
    local line code
    tell end
    SAW=$ANSWER
    while read -r -t 120 line <&"$ANSWERS"; do SAW="$SAW; $line"; done || true
    await 60 "the witness has judged" judged
    code=$(k get pod witness -o jsonpath='{.status.containerStatuses[0].state.terminated.exitCode}')
    [ "$code" = 0 ] || { echo "$SAW" >&2; return 1; }
}

judged() { [ -n "$(k get pod witness -o jsonpath='{.status.containerStatuses[0].state.terminated.reason}')" ]; }
