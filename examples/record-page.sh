#!/usr/bin/env bash
# Draws the page of all jobs in the README. Runs jobs against a Pushgateway on this machine, with clocks that faketime sets
# back and speeds up, and takes a picture of `metrics-push page` in Chromium.
#
#   examples/record-page.sh
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PICTURE=examples/page.png

fail() {
    echo "record-page.sh: $*" >&2
    exit 1
}

gateway_program=$(command -v pushgateway || command -v prometheus-pushgateway) ||
    fail "pushgateway is missing. On Debian: apt-get install prometheus-pushgateway."
for program in chromium faketime; do
    command -v "$program" >/dev/null || fail "$program is missing. On Debian: apt-get install $program."
done
cargo build --quiet --package metrics-push-cli
PATH=$PWD/target/debug:$PATH

scratch=$(mktemp -d)
"$gateway_program" --persistence.file= --web.listen-address=127.0.0.1:0 2>"$scratch/log" &
gateway=$!
running=
clean_up() {
    if [ -n "$running" ]; then
        kill "$running" 2>/dev/null || true
        wait "$running_wrapper" 2>/dev/null || true
    fi
    kill "$gateway" 2>/dev/null || true
    rm -rf "$scratch"
}
trap clean_up EXIT

# The gateway logs its port.
for _ in $(seq 100); do
    address=$(grep -o '127\.0\.0\.1:[1-9][0-9]*' "$scratch/log" | head -n 1) && break
    sleep 0.1
done
# The timeout is long, because its clock is fast.
export METRICS_PUSH_URL="http://${address:?the gateway does not listen}" METRICS_PUSH_TIMEOUT=24h
export METRICS_PUSH_STATE_DIR=$scratch/state TZ=Europe/Berlin

# Runs a job once for each letter, oldest first: s succeeds, f fails, k is skipped. The last run started this many seconds
# ago; the others at this distance. Further arguments are options of `exec`.
runs() {
    local outcomes=$1 last=$2 distance=$3 duration=$4 name=$5
    shift 5
    local at age took status
    for ((at = 0; at < ${#outcomes}; at++)); do
        age=$((last + (${#outcomes} - 1 - at) * distance))
        took=$((duration * (900 + RANDOM % 200)))
        case ${outcomes:at:1} in
            s) status=0 ;;
            f) status=1 took=$((took / 3)) ;;
            k) status=75 took=1 ;;
        esac
        faketime -f "-${age}s x$((duration * 4 + 1))" metrics-push exec --job "$name" --every "${distance}s" \
            --skip-exit-code 75 "$@" -- sh -c "sleep $((took / 1000)).$(printf %03d $((took % 1000))); exit $status" || true
    done 2>>"$scratch/output"
}

hour=3600 day=86400
readonly ALL=ssssssssssssssssssss
jobs_of_fleet=()
start() {
    runs "$@" &
    jobs_of_fleet+=($!)
}
start sssssssssssssssssfff 1900 $((2 * hour)) 140 orders_export --grouping region=eu
start sssssssssssssssss $((4 * hour)) $hour 41 rates_import
start ssfsssffssfsssffssfs 700 900 21 inventory_sync --grouping tenant=north
start $ALL 2500 $((6 * hour)) 3 certificate_check
start $ALL $((3 * hour)) $day 1112 db_backup
start $ALL 2200 $hour 47 invoices --grouping tenant=north
start ssssssssssssfssssssss 2200 $hour 33 invoices --grouping tenant=south
start ssskssskssskssksksks 2500 $hour 2 log_rotate
start $ALL 700 $day 74 mail_digest
start $ALL 8500 $((4 * hour)) 422 search_reindex
start sssssssssssssssssss $((day + 800)) $day 1310 warehouse_load
start sssssssssssssssssss $((day + 3 * hour)) $day 1300 billing_close
wait "${jobs_of_fleet[@]}"

# A run that is killed, and one that lasts.
unset METRICS_PUSH_TIMEOUT
faketime -f -3h metrics-push exec --job billing_close --every 24h --max-runtime 1h -- sleep 60 &
wrapper=$!
faketime -f -14m metrics-push exec --job warehouse_load --every 24h -- sleep 120 &
running_wrapper=$!
for name in billing_close warehouse_load; do
    # Waits for the push of the start.
    # `status` fails because of the failed jobs.
    until metrics-push status --json --job "$name" >"$scratch/status"; grep --quiet '"is_running": true' "$scratch/status"; do
        sleep 0.2
    done
done
# faketime waits for the command.
running=$(pgrep -P "$running_wrapper")
kill -KILL "$(pgrep -P "$wrapper")"

metrics-push page --output "$scratch/page.html"
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$scratch/chromium" \
    --window-size=1280,1000 --screenshot="$PWD/$PICTURE" "file://$scratch/page.html?theme=light" 2>"$scratch/chromium.log"
