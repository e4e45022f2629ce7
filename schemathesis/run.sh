#!/usr/bin/env bash
# Holds a publisher and a node, the real ones of `peal up`, to the documents that they answer with. PEAL_BIN is the program,
# VENV where schemathesis is kept. Leaves nothing running.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${PEAL_BIN:?}" "${VENV:?}"

if ! cmp -s "$here/requirements.txt" "$VENV/requirements.txt"; then
    rm -rf "$VENV"
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$VENV/"
fi

work=$(mktemp -d)
cluster=
finish() {
    code=$?
    trap - EXIT INT TERM
    if [ -n "$cluster" ]; then kill "$cluster" 2> /dev/null || true; wait "$cluster" || true; fi
    if [ "$code" -ne 0 ]; then tail -n 20 "$work/log" >&2 || true; fi
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The clock of Hypothesis and the caches of schemathesis stay out of the repository.
cd "$work"
"$PEAL_BIN" up --nodes 1 --port 0 --data "$work/data" > "$work/said" 2> "$work/log" &
cluster=$!
for _ in $(seq 150); do
    if grep -q 'Ctrl-C' "$work/said" || ! kill -0 "$cluster" 2> /dev/null; then break; fi
    sleep 0.2
done
publisher=$(awk '$1 == "publisher" { print $2 }' "$work/said")
node=$(awk '$1 == "node" { sub("ws:", "http:", $3); print $3 }' "$work/said")
[ -n "$publisher" ] && [ -n "$node" ]

for server in "$publisher" "$node"; do
    "$VENV/bin/schemathesis" --config-file "$here/schemathesis.toml" run "$server/openapi.json"
done
