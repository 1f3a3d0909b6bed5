#!/usr/bin/env bash
# Runs the whole stack for a minute: a Pushgateway, a Prometheus with `prometheus.yml`, and the example job on a
# schedule. Every third run of the job fails.
#
#   examples/monitoring/run.sh [SECONDS]
#
# The servers listen on free ports of the loopback interface. Their data is removed at the end.
set -euo pipefail

readonly SECONDS_TO_RUN="${1:-60}"
readonly SECONDS_BETWEEN_RUNS=5
# In seconds. A slow machine needs long for the build.
readonly BUILD_TIMEOUT=1200
readonly RUN_TIMEOUT=30

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

# Prints the path of the first of these commands that exists.
first_command() {
    local name
    for name in "$@"; do
        command -v "$name" && return
    done
    return 1
}

missing() {
    fail "$1 is missing. On Debian, run apt-get install $2. Elsewhere, unpack the release archive from Prometheus'" \
        "download page into a folder of PATH."
}

case "$SECONDS_TO_RUN" in
'' | *[!0-9]*) fail "invalid number of seconds \"$SECONDS_TO_RUN\". Usage: run.sh [SECONDS]" ;;
esac
gateway_command=$(first_command pushgateway prometheus-pushgateway) || missing pushgateway prometheus-pushgateway
prometheus_command=$(first_command prometheus) || missing prometheus prometheus
first_command cargo >/dev/null || fail "cargo is missing. Install Rust, or add the folder of cargo to PATH."
first_command timeout >/dev/null || fail "timeout is missing. Install the GNU core utilities."

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

# Starts a server on a free port and sets `address` to the address in its log.
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
    fail "$name did not start; see its output above."
}

nightly_import() {
    METRICS_PUSH_URL="http://$gateway" METRICS_PUSH_STATE_DIR="$scratch/state" \
        timeout "$RUN_TIMEOUT" cargo run --quiet --example nightly_import -- "$@" >>"$scratch/job.log" 2>&1
}

cd "$folder/../.."
echo "Building the example."
timeout "$BUILD_TIMEOUT" cargo build --quiet --example nightly_import ||
    fail "the build of the example failed or took more than $BUILD_TIMEOUT s; see the output of cargo above."

start pushgateway "$gateway_command" --persistence.file=
gateway=$address
# Uses this gateway, absolute paths, and short intervals.
sed -e "s/localhost:9091/$gateway/" -e "s|\.\./\.\./|$PWD/|" -e 's/_interval: 15s/_interval: 1s/' \
    "$folder/prometheus.yml" >"$scratch/prometheus.yml"
start prometheus "$prometheus_command" --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/tsdb"
prometheus=$address

cat <<TEXT

For $SECONDS_TO_RUN seconds, the job runs every $SECONDS_BETWEEN_RUNS seconds. Every third run fails on purpose.
BatchJobFailed fires after each of these. BatchJobRunsTooOften fires because the job declares a daily schedule.

  the stored groups        http://$gateway/
  the alerts               http://$prometheus/alerts
  age of the last success  http://$prometheus/graph?g0.expr=time()-batch_job_last_success_timestamp_seconds&g0.tab=0&g0.range_input=5m
  the last outcome         http://$prometheus/graph?g0.expr=batch_job_last_run_outcome==1&g0.tab=0&g0.range_input=5m
  the dashboard            import $PWD/metrics-push-cli/monitoring/dashboard.json into a Grafana with http://$prometheus as data source

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
        fail "run $runs ended with an unexpected status; see the output of the job above."
        ;;
    esac
    pause=$((SECONDS_BETWEEN_RUNS - (SECONDS - began)))
    left=$((SECONDS_TO_RUN - SECONDS))
    [ "$pause" -gt "$left" ] && pause=$left
    # In the background, so that an interrupt does not wait for the pause.
    [ "$pause" -gt 0 ] && { sleep "$pause" & wait "$!"; }
done

echo
echo "Finished: both servers are stopped, and their data is removed."
