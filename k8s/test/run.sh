#!/usr/bin/env bash
# Applies overlays/local to a cluster, breaks what an operator and the world break, and judges what the clients of a witness saw
# meanwhile. Everything is in the namespace `peal`, which must not be there before and is gone after.
#
#   KUBECONFIG     the cluster, and with it
#   LOAD           a command that takes an archive of an image and brings it to all machines: "kind load image-archive";
#                  `:` where they have them already
#   KUBERNETES     instead of both: a command that runs what follows it with KUBECONFIG set, in a cluster that it makes, with the
#                  archives of IMAGES on all machines, for no longer than LIMIT seconds
#   MACHINE_DOWN, MACHINE_UP   commands that cut off a machine, {} being its name, and bring it back: "docker pause {}"
#   RESULT         a file for what was seen
set -euo pipefail
cd "$(dirname "$0")/../.."
source k8s/test/steps.sh

if [ -z "${KUBECONFIG:-}${KUBERNETES:-}" ]; then
    echo "SKIP test-k8s: neither KUBECONFIG nor KUBERNETES names a cluster (k8s/test/run.sh)"
    exit 0
fi
[ -n "${HAS_IMAGES:-}" ] || k8s/test/images.sh
archives=("$(realpath "${CARGO_TARGET_DIR:-target}")"/images/*.tar)
if [ -n "${KUBERNETES:-}" ]; then
    export IMAGES="${archives[*]}" LIMIT=${LIMIT:-1200} HAS_IMAGES=1 LOAD=:
    command=$KUBERNETES
    unset KUBERNETES KUBECONFIG
    exec $command "$PWD/k8s/test/run.sh"
fi
kubectl get --raw /readyz > /dev/null || { echo "the cluster of KUBECONFIG=$KUBECONFIG does not answer" >&2; exit 1; }
[ -n "${LOAD:-}" ] || { echo 'LOAD is not set: LOAD="kind load image-archive", or LOAD=: where the images are there' >&2; exit 1; }
[ "$LOAD" = : ] || for archive in "${archives[@]}"; do $LOAD "$archive"; done

trap finish EXIT
trap 'exit 130' INT TERM
begin_result
step 'applied with `kubectl apply -k`, rolled out' apply
step "a pod that may do more than the restricted ones is refused" refuse_privileged
step "clients connect through the Services, and are told" begin_witness
step "of two evictions at once the budget refuses one" evict_two
step "a machine is drained" drain_machine
step "a pod is killed" kill_pod
if [ -n "${MACHINE_DOWN:-}" ]; then
    step "a machine is cut off; its node starts elsewhere" lose_machine
    step "… and the machine is back" find_machine
else
    say "| a machine is cut off | SKIP: MACHINE_DOWN and MACHINE_UP are not set | |"
fi
step "3 replicas become 6, and the users are spread over them" scale_up
step "… and 3 again" scale_down
step "the next version is rolled out, node by node" roll_out
step "… and relays sockets to their owners" relay
step "an image that can't be had stops at one node" roll_out_rubbish
step "… and is rolled back" roll_back
step "everybody listens to the end" end_witness
end_result
