#!/usr/bin/env bash
# The whole stack for a minute, for those who want to see it: a Pushgateway, a Prometheus with the configuration
# beside this file, and the example job on a schedule, every third run of which fails.
#
#   examples/monitoring/run.sh [SECONDS]
#
# Everything listens on this machine alone, on free ports; what is stored goes away with it.
set -euo pipefail

readonly SECONDS_TO_RUN="${1:-60}"
readonly SECONDS_BETWEEN_RUNS=5
# Building the example comes first, and may take its time on a slow machine.
readonly LONGEST_BUILD=1200
readonly LONGEST_RUN=30

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

# The first of these commands that is there.
first_of() {
    local name
    for name in "$@"; do
        command -v "$name" && return
    done
    return 1
}

missing() {
    fail "$1 is missing. On Debian: apt-get install $2. Elsewhere: the release archive of Prometheus' own" \
        "download page, unpacked into a folder of PATH."
}

case "$SECONDS_TO_RUN" in
'' | *[!0-9]*) fail "\"$SECONDS_TO_RUN\" is no number of seconds. Usage: run.sh [SECONDS]" ;;
esac
gateway_command=$(first_of pushgateway prometheus-pushgateway) || missing pushgateway prometheus-pushgateway
prometheus_command=$(first_of prometheus) || missing prometheus prometheus
first_of cargo >/dev/null || fail "cargo is missing. Install Rust, or put the folder with cargo into PATH."
first_of timeout >/dev/null || fail "timeout is missing. It comes with the GNU core utilities."

folder=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
servers=()

clean_up() {
    local pid
    for pid in "${servers[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Starts a server on a port that the system chooses, and sets `address` to where it listens, by its own account.
start() {
    local name=$1 log=$scratch/$1.log pid attempt
    shift
    "$@" --web.listen-address=127.0.0.1:0 >"$log" 2>&1 &
    pid=$!
    servers+=("$pid")
    for ((attempt = 0; attempt < 100; attempt++)); do
        address=$(sed -n 's/.*msg="Listening on".* address=\([^ ]*\).*/\1/p' "$log" | head -n 1)
        [ -n "$address" ] && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    cat "$log" >&2
    fail "$name did not start; its output is above."
}

nightly_import() {
    METRICS_PUSH_URL="http://$gateway" METRICS_PUSH_STATE_DIR="$scratch/state" \
        timeout "$LONGEST_RUN" cargo run --quiet --example nightly_import -- "$@" >>"$scratch/job.log" 2>&1
}

cd "$folder/../.."
echo "Building the example."
timeout "$LONGEST_BUILD" cargo build --quiet --example nightly_import ||
    fail "the example was not built within $LONGEST_BUILD s; what cargo said is above."

start pushgateway "$gateway_command" --persistence.file=
gateway=$address
cp -r "$folder/prometheus.yml" "$folder/rules" "$scratch"
# The shipped configuration, pointed at this gateway, and a little more eager than one needs to be.
sed -i.shipped -e "s/localhost:9091/$gateway/" -e 's/_interval: 15s/_interval: 1s/' "$scratch/prometheus.yml"
start prometheus "$prometheus_command" --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/tsdb"
prometheus=$address

cat <<TEXT

For $SECONDS_TO_RUN seconds, the job runs every $SECONDS_BETWEEN_RUNS seconds. Every third run fails, on purpose.
BatchJobFailed comes and goes with that, and BatchJobRunsTooOften is right: the job says that it is a daily one.

  what the gateway holds   http://$gateway/
  the alerts               http://$prometheus/alerts
  the last success's age   http://$prometheus/graph?g0.expr=time()-batch_job_last_success_timestamp_seconds&g0.tab=0&g0.range_input=5m
  the last outcome         http://$prometheus/graph?g0.expr=batch_job_last_run_outcome==1&g0.tab=0&g0.range_input=5m
  the dashboard            import $folder/dashboard.json into a Grafana with http://$prometheus as data source

TEXT

runs=0
SECONDS=0
while [ "$SECONDS" -lt "$SECONDS_TO_RUN" ]; do
    runs=$((runs + 1))
    ending=()
    [ $((runs % 3)) -eq 0 ] && ending=(--fail)
    began=$SECONDS
    status=0
    nightly_import "${ending[@]}" || status=$?
    echo "$(date +%T)  run $runs ended with status $status"
    case "$status:${ending[*]}" in
    0: | [1-9]*:--fail) ;;
    *)
        cat "$scratch/job.log" >&2
        fail "run $runs should have ended otherwise; the job's output is above."
        ;;
    esac
    pause=$((SECONDS_BETWEEN_RUNS - (SECONDS - began)))
    left=$((SECONDS_TO_RUN - SECONDS))
    [ "$pause" -gt "$left" ] && pause=$left
    # In the background, so that an interrupt does not wait for it.
    [ "$pause" -gt 0 ] && { sleep "$pause" & wait "$!"; }
done

echo
echo "The time is over: both servers are stopped, and their data are removed."
