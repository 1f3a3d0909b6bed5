#!/usr/bin/env bash
# Writes what the README shows of `metrics-push status`: the examples, run against a Pushgateway on this machine.
#
#   examples/record.sh
set -euo pipefail
cd "$(dirname "$0")/.."

command=$(command -v pushgateway || command -v prometheus-pushgateway) || {
    echo "record.sh: pushgateway is missing. On Debian: apt-get install prometheus-pushgateway." >&2
    exit 1
}
cargo build --quiet --example nightly_import --example scheduler
cargo build --quiet --package metrics-push --features cli

scratch=$(mktemp -d)
"$command" --persistence.file= --web.listen-address=127.0.0.1:0 2>"$scratch/log" &
gateway=$!
trap 'kill "$gateway" 2>/dev/null; rm -rf "$scratch"' EXIT

# The gateway logs the port that the system chose.
for _ in $(seq 100); do
    address=$(grep -o '127\.0\.0\.1:[1-9][0-9]*' "$scratch/log" | head -n 1) && break
    sleep 0.1
done
export METRICS_PUSH_URL="http://${address:?the gateway does not listen}" METRICS_PUSH_STATE_DIR=off

target/debug/examples/nightly_import >"$scratch/out" 2>&1
target/debug/examples/scheduler >"$scratch/out" 2>&1
{
    echo '```text'
    echo '$ metrics-push status'
    # It tells of failures, and its own status is one.
    target/debug/metrics-push status || true
    echo '```'
} >"$scratch/block"

awk -v block="$scratch/block" '
    /<!-- status begins -->/ { print; while ((getline line < block) > 0) print line; skipping = 1 }
    /<!-- status ends -->/ { skipping = 0 }
    !skipping || /<!-- status ends -->/ { if (!/<!-- status begins -->/) print }
' README.md >"$scratch/README.md"
cat "$scratch/README.md" >README.md
