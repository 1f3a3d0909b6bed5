#!/usr/bin/env bash
# Runs the whole stack until you press Enter: a Pushgateway, a Prometheus with `prometheus.yml`, the page of all jobs, and the
# example job on a schedule. Every third run of the job fails.
#
#   examples/monitoring/run.sh [--samples | --raw] [SECONDS]
#
# With --samples, the job writes samples to the receiver of Prometheus instead of pushing to a gateway, and Prometheus has the
# rules for samples. With --raw, it also prints all metrics that the gateway stores. With SECONDS, it ends after this time at
# the latest. Without a terminal, it ends after a minute.
#
# The servers listen on free ports of the loopback interface. Their data is removed at the end.
set -euo pipefail

readonly SECONDS_BETWEEN_RUNS=5
readonly SECONDS_WITHOUT_TERMINAL=60
# In seconds. A slow machine needs long for the build.
readonly BUILD_TIMEOUT=1200
readonly RUN_TIMEOUT=30
readonly START_TIMEOUT=60

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

storage=groups
is_raw=
case "${1-}" in
--samples) storage=samples && shift ;;
--raw) is_raw=yes && shift ;;
esac
case "${1-0}" in
'' | *[!0-9]*) fail "invalid number of seconds \"$1\". Usage: run.sh [--samples | --raw] [SECONDS]" ;;
esac
if [ -n "${1-}" ]; then
    seconds_to_run=$((10#$1))
elif [ -t 0 ]; then
    seconds_to_run=
else
    seconds_to_run=$SECONDS_WITHOUT_TERMINAL
fi
if [ "$storage" = groups ]; then
    gateway_command=$(first_command pushgateway prometheus-pushgateway) || missing pushgateway prometheus-pushgateway
fi
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

# Starts a server on a free port and sets `address` to the address in its output.
start() {
    local name=$1 log=$scratch/$1.log pid attempt
    shift
    # The loop may read the log before the server has opened it.
    : >"$log"
    "$@" >"$log" 2>&1 &
    pid=$!
    servers+=("$pid")
    for ((attempt = 0; attempt < START_TIMEOUT * 10; attempt++)); do
        address=$(sed -n 's/.*Listening on.*\(127\.0\.0\.1:[1-9][0-9]*\).*/\1/p' "$log" | head -n 1)
        [ -n "$address" ] && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    cat "$log" >&2
    fail "$name did not start; see its output above."
}

# Prints the response of the server at an address to a request for a path.
request() {
    {
        exec 3<>"/dev/tcp/${1%:*}/${1##*:}" || return 1
        printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$2" "$1" >&3
        timeout 10 cat <&3
        exec 3>&-
    } 2>/dev/null || true
}

# Returns true if the server at an address responds to a path with status 200.
answers() {
    local status=
    read -r _ status _ < <(request "$1" "$2") || true
    [ "$status" = 200 ]
}

# Prints the first of these paths to which Prometheus responds. The paths differ: 3 replaces /graph by /query, and Debian
# serves only the classic pages.
first_page() {
    local path
    for path in "$@"; do
        answers "$prometheus" "$path" && echo "$path" && return
    done
    fail "Prometheus at http://$prometheus/ has none of the pages $*. Update the list of pages in run.sh."
}

# Encodes a text for the query of a URL.
encode() {
    local text=$1 position character
    for ((position = 0; position < ${#text}; position++)); do
        character=${text:position:1}
        case "$character" in
        [a-zA-Z0-9_.~-]) printf '%s' "$character" ;;
        *) printf '%%%02X' "'$character" ;;
        esac
    done
}

# Prints the URL of a graph of an expression.
graph() {
    echo "http://$prometheus$graph_page?g0.expr=$(encode "$1")&g0.tab=0&g0.range_input=5m"
}

# Prints the table of the jobs, and all metrics of the gateway with --raw. `status` fails because of the failed runs.
show_status() {
    echo
    echo "\$ metrics-push status $jobs"
    # Two words.
    # shellcheck disable=SC2086
    timeout "$RUN_TIMEOUT" metrics-push status $jobs || true
    echo
    [ -z "$is_raw" ] && return
    echo "\$ curl http://$gateway/metrics"
    request "$gateway" /metrics | sed '1,/^\r*$/d' | grep '^batch_job_' || true
    echo
}

# Waits for a number of seconds. Returns true if Enter was pressed.
enter_within() {
    if [ -t 0 ]; then
        read -r -t "$1"
    else
        # In the background, so that an interrupt does not wait for the pause.
        sleep "$1" & wait "$!"
        false
    fi
}

nightly_import() {
    METRICS_PUSH_URL=$url timeout "$RUN_TIMEOUT" "$target/debug/examples/nightly_import" "$@" >>"$scratch/job.log" 2>&1
}

cd "$folder/../.."
echo "Building the example and the command."
timeout "$BUILD_TIMEOUT" cargo build --quiet --package metrics-push-examples --example nightly_import \
    --package metrics-push-cli --bin metrics-push ||
    fail "the build failed or took more than $BUILD_TIMEOUT s; see the output of cargo above."
# Runs the programs themselves, because cargo may wait for another cargo.
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
PATH=$target/debug:$PATH
# The job and the command share the history of the runs.
export METRICS_PUSH_STATE_DIR=$scratch/state

# Starts Prometheus with the configuration in the scratch folder and these further flags. It listens before it is ready.
start_prometheus() {
    local attempt
    start prometheus "$prometheus_command" --config.file="$scratch/prometheus.yml" \
        --storage.tsdb.path="$scratch/tsdb" --web.listen-address=127.0.0.1:0 "$@"
    prometheus=$address
    for ((attempt = 0; attempt < START_TIMEOUT * 10; attempt++)); do
        answers "$prometheus" /-/ready && return
        sleep 0.1
    done
    cat "$scratch/prometheus.log" >&2
    fail "Prometheus is not ready after $START_TIMEOUT s; see its output above."
}

success=batch_job_last_success_timestamp_seconds
outcome=batch_job_last_run_outcome
if [ "$storage" = groups ]; then
    start pushgateway "$gateway_command" --persistence.file= --web.listen-address=127.0.0.1:0
    gateway=$address
    url=http://$gateway
    # Uses this gateway, absolute paths, and short intervals.
    sed -e "s/localhost:9091/$gateway/" -e "s|\.\./\.\./|$PWD/|" -e 's/_interval: 15s/_interval: 1s/' \
        "$folder/prometheus.yml" >"$scratch/prometheus.yml"
    start_prometheus
    reports="the stored groups        http://$gateway/"
    dashboard="import $PWD/metrics-push-cli/monitoring/dashboard.json"
    jobs="--url $url"
else
    # Evaluates all rules every second.
    metrics-push rules --for samples | sed '/^    interval: /d' >"$scratch/rules.yaml"
    printf 'global: {evaluation_interval: 1s}\nrule_files: [rules.yaml]\n' >"$scratch/prometheus.yml"
    start_prometheus --web.enable-remote-write-receiver
    url=remote-write+http://$prometheus/api/v1/write
    success="max_over_time($success[8d])"
    outcome="last_over_time($outcome[8d])"
    reports="the URL of the job       $url"
    dashboard="import the output of metrics-push dashboard --for samples"
    jobs="--prometheus http://$prometheus"
fi
graph_page=$(first_page /graph /query /classic/graph)
alerts_page=$(first_page /alerts /classic/alerts)
case "$graph_page" in
/classic/*) prometheus_ui="Prometheus, classic UI " ;;
*) prometheus_ui="Prometheus, new UI     " ;;
esac
# Two words.
# shellcheck disable=SC2086
start page metrics-push serve $jobs --listen 127.0.0.1:0

cat <<TEXT

The job runs every $SECONDS_BETWEEN_RUNS seconds. Every third run fails on purpose.
BatchJobFailed fires after each of these. BatchJobRunsTooOften fires because the job declares a daily schedule.

  the page of all jobs     http://$address/
  $prometheus_ui  http://$prometheus$graph_page
  the alerts               http://$prometheus$alerts_page
  age of the last success  $(graph "time() - $success")
  the last outcome         $(graph "$outcome == 1")
  $reports
  the dashboard            $dashboard into a Grafana with http://$prometheus as data source

In another terminal:

  export METRICS_PUSH_STATE_DIR=$METRICS_PUSH_STATE_DIR PATH=$target/debug:\$PATH
  metrics-push status --watch $jobs
  metrics-push history nightly_import $jobs
  metrics-push page --output page.html $jobs

TEXT
[ -t 0 ] && echo "Press Enter to stop." && echo

runs=0
SECONDS=0
while [ -z "$seconds_to_run" ] || [ "$SECONDS" -lt "$seconds_to_run" ]; do
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
    # After the first success and after each failure.
    if [ "$runs" -eq 1 ] || [ $((runs % 3)) -eq 0 ]; then show_status; fi
    pause=$((SECONDS_BETWEEN_RUNS - (SECONDS - began)))
    if [ -n "$seconds_to_run" ]; then
        left=$((seconds_to_run - SECONDS))
        [ "$pause" -gt "$left" ] && pause=$left
    fi
    [ "$pause" -lt 1 ] && pause=1
    enter_within "$pause" && break
done

show_status
echo "Finished: the servers are stopped, and their data is removed."
