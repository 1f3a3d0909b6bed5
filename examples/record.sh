#!/usr/bin/env bash
# Records the pictures and the metrics in the README: runs real jobs against a Pushgateway on this machine, most of them with
# a clock that is set back, so that the ages are those of a usual morning.
#
#   examples/record.sh
#
# It writes the output of `metrics-push status` to status.svg, the page of `metrics-push page` to page.png, and the stored
# metrics of the example to the README.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly COLUMNS_SHOWN=112
readonly PAGE_SIZE=1240,860
readonly STATUS_PICTURE=examples/status.svg PAGE_PICTURE=examples/page.png
readonly MINUTE=60 HOUR=3600 DAY=86400

fail() {
    echo "record.sh: $*" >&2
    exit 1
}

# Fails if a command is missing. The second argument is the package of Debian.
need() {
    command -v "$1" >/dev/null || fail "$1 is missing. On Debian, run apt-get install $2."
}

gateway_command=$(command -v pushgateway || command -v prometheus-pushgateway) ||
    fail "pushgateway is missing. On Debian, run apt-get install prometheus-pushgateway."
need curl curl
need script bsdutils
need chromium chromium
library=$(find /usr/lib -name libfaketimeMT.so.1 2>/dev/null | head -n 1)
[ -n "$library" ] || fail "libfaketime is missing. On Debian, run apt-get install faketime."
cargo build --quiet --package metrics-push-examples --example nightly_import --package metrics-push-cli --bin metrics-push

scratch=$(mktemp -d)
clock=$scratch/clock
"$gateway_command" --persistence.file= --web.listen-address=127.0.0.1:0 2>"$scratch/log" &
gateway=$!
running=
clean_up() {
    # The running job reports the signal, so its gateway is stopped after it.
    if [ -n "$running" ]; then
        kill "$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
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
export METRICS_PUSH_URL="http://${address:?the gateway does not listen}" METRICS_PUSH_STATE_DIR=$scratch/state
export LC_ALL=C.UTF-8 TZ=Europe/Berlin
PATH=$PWD/target/debug:$PWD/target/debug/examples:$PATH

# Runs a command with the clock in the file, which is behind by a number of seconds.
behind=(env FAKETIME_TIMESTAMP_FILE="$clock" FAKETIME_NO_CACHE=1 LD_PRELOAD="$library")
set_back() { echo "-$1" >"$clock"; }

# Runs a job that started a number of seconds ago and took a number of seconds, with an exit code and these options.
job() {
    local ago=$1 took=$2 code=$3
    shift 3
    set_back "$ago"
    # The command starts before it sets the clock to its end. A failed one explains its failure.
    "${behind[@]}" metrics-push exec "$@" -- sh -c "sleep 0.1; echo -$((ago - took)) >$clock; [ $code = 0 ] ||
        { echo 'upload of orders.csv failed: 403 Forbidden, the token expired' >&2; exit $code; }" 2>>"$scratch/jobs" || true
}

# Runs a job once for each mark of a strip, oldest first: + is a success, - a failure. The last run started a number of
# seconds ago; the others started earlier by an interval each.
strip() {
    local strip=$1 ago=$2 interval=$3 took=$4 position code
    shift 4
    for ((position = 0; position < ${#strip}; position++)); do
        [ "${strip:position:1}" = + ] && code=0 || code=3
        job $((ago + (${#strip} - 1 - position) * interval)) $((took + position % 3 * took / 25)) $code "$@"
    done
}

# Replaces the text between two comments in the README by standard input.
into_readme() {
    cat >"$scratch/block"
    awk -v block="$scratch/block" -v begins="<!-- $1 begins -->" -v ends="<!-- $1 ends -->" '
        $0 == ends { skipping = 0 }
        !skipping { print }
        $0 == begins { while ((getline line < block) > 0) print line; skipping = 1 }
    ' README.md >"$scratch/README.md"
    cat "$scratch/README.md" >README.md
}

# Draws a terminal that shows standard input in the colours of its escape sequences.
picture() {
    # Escapes the reserved characters of XML, then converts the escape sequences of `metrics-push` to spans.
    sed -e 's/\r//g; s/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g' \
        -e 's/\x1b\[0m/<\/tspan>/g; s/\x1b\[\([0-9]*\)m/<tspan class="sgr\1">/g' |
        awk -v columns="$COLUMNS_SHOWN" '
            { lines[NR] = $0 }
            END {
                width = columns * 8.4 + 32; height = NR * 19 + 58
                printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n", \
                    width, height, width, height
                print "<style>"
                print "text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, \"DejaVu Sans Mono\", monospace;"
                print "  fill: #c9d1d9; white-space: pre; }"
                print ".sgr1 { fill: #f0f6fc; font-weight: bold; }"
                print ".sgr31 { fill: #ff7b72; }"
                print ".sgr32 { fill: #7ee787; }"
                print ".sgr33 { fill: #e3b341; }"
                print ".sgr34 { fill: #79c0ff; }"
                print "</style>"
                print "<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>"
                split("#ff5f56 #ffbd2e #27c93f", buttons, " ")
                for (i = 1; i <= 3; i++)
                    printf "<circle cx=\"%d\" cy=\"20\" r=\"6\" fill=\"%s\"/>\n", i * 20, buttons[i]
                for (i = 1; i <= NR; i++)
                    if (lines[i] != "")
                        printf "<text x=\"16\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", i * 19 + 35, lines[i]
                print "</svg>"
            }'
}

echo "Running the jobs of 20 days."
daily() { seq $((19 * DAY + $1)) -$DAY "$1"; }
for ago in $(daily $((2 * HOUR + 11 * MINUTE))); do
    set_back "$ago"
    "${behind[@]}" nightly_import >"$scratch/out" 2>&1
done
readonly FINE=++++++++++++++++++++
strip $FINE $((42 * MINUTE)) $((6 * HOUR)) 3 --job certificate_check --every 6h
strip $FINE $((3 * HOUR + 42 * MINUTE)) $DAY 1112 --job db_backup --grouping instance=db-1 --every 24h
strip $FINE $((37 * MINUTE)) $HOUR 47 --job invoices --grouping tenant=north --every 1h
strip +++++++++++-++++++++ $((37 * MINUTE)) $HOUR 33 --job invoices --grouping tenant=south --every 1h
strip $FINE $((2 * HOUR + 22 * MINUTE)) $((4 * HOUR)) 422 --job search_reindex --every 4h
strip ++-+++--++-+++--++-+ $((12 * MINUTE)) $((15 * MINUTE)) 21 --job inventory_sync --every 15m --failure-threshold 3
strip +++++++++++++++++ $((3 * HOUR + 40 * MINUTE)) $HOUR 41 --job rates_import --every 1h
strip +++++++++++++++++--- $((32 * MINUTE)) $((2 * HOUR)) 48 \
    --job orders_export --grouping region=eu --every 2h --failure-threshold 3 --output-lines 1
strip +++++++++++++++++++ $((DAY + 3 * HOUR + 12 * MINUTE)) $DAY 1200 --job billing_close --every 24h --max-runtime 1h
strip +++++++++++++++++++ $((DAY + 14 * MINUTE)) $DAY 1320 --job warehouse_load --every 24h --max-runtime 2h

# Waits until the gateway stores the start of a run that is open.
wait_for_start() {
    local start=batch_job_last_start_timestamp_seconds end=batch_job_last_completion_timestamp_seconds
    for _ in $(seq 100); do
        curl --silent --fail "$METRICS_PUSH_URL/metrics" |
            awk -v job="job=\"$1\"" -v start=$start -v end=$end '
                index($0, start "{") && index($0, job) { started = $NF }
                index($0, end "{") && index($0, job) { ended = $NF }
                END { exit started <= ended }' && return
        sleep 0.1
    done
    fail "the run of $1 did not start; see the messages: $(cat "$scratch/jobs")"
}

set_back $((14 * MINUTE))
"${behind[@]}" metrics-push exec --job warehouse_load --every 24h --max-runtime 2h -- sleep 600 &
running=$!
wait_for_start warehouse_load
# A run that is killed with its supervisor. It is the last one, because the next run of any job would report its end.
set_back $((3 * HOUR + 12 * MINUTE))
"${behind[@]}" setsid metrics-push exec --job billing_close --every 24h --max-runtime 1h -- sleep 600 &
killed=$!
wait_for_start billing_close
kill -KILL -- "-$killed"
wait "$killed" 2>/dev/null || true

{
    echo '$ metrics-push status'
    # `status` fails because of the failed jobs.
    TERM=xterm script --quiet --command "stty rows 60 cols $COLUMNS_SHOWN; metrics-push status" /dev/null </dev/null || true
} | picture >"$STATUS_PICTURE"
metrics-push page --output "$scratch/page.html"
# Without a sandbox, so that root can record.
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=$PAGE_SIZE \
    --user-data-dir="$scratch/chromium" --screenshot="$PWD/$PAGE_PICTURE" "file://$scratch/page.html" 2>>"$scratch/log"
{
    echo '```text'
    # The gateway shows a missing label `instance` as an empty one.
    curl --silent --fail "$METRICS_PUSH_URL/metrics" | sed 's/instance="",//' | grep nightly_import | grep -E \
        '^batch_job_(last_(run_outcome.*"(error|success)"|run_duration|success_time)|success_deadline)'
    echo '```'
} | into_readme example
grep '^metrics-push: ' "$scratch/jobs" || true
echo "Wrote $STATUS_PICTURE, $PAGE_PICTURE and README.md."
