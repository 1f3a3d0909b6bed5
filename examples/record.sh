#!/usr/bin/env bash
# Records the output in the README. Runs the examples and some commands against a Pushgateway on this machine. Writes the
# stored metrics of the first example to the README, and the output of `metrics-push status` to a picture.
#
#   examples/record.sh
set -euo pipefail
cd "$(dirname "$0")/.."

readonly COLUMNS_SHOWN=80
readonly PICTURE=examples/status.svg

fail() {
    echo "record.sh: $*" >&2
    exit 1
}

command=$(command -v pushgateway || command -v prometheus-pushgateway) ||
    fail "pushgateway is missing. On Debian: apt-get install prometheus-pushgateway."
command -v curl >/dev/null || fail "curl is missing. On Debian: apt-get install curl."
command -v script >/dev/null || fail "script is missing. On Debian: apt-get install bsdutils."
cargo build --quiet --example nightly_import --example scheduler
cargo build --quiet --package metrics-push-cli

scratch=$(mktemp -d)
"$command" --persistence.file= --web.listen-address=127.0.0.1:0 2>"$scratch/log" &
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
export METRICS_PUSH_URL="http://${address:?the gateway does not listen}" METRICS_PUSH_STATE_DIR=off
PATH=$PWD/target/debug:$PWD/target/debug/examples:$PATH

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

nightly_import >"$scratch/out" 2>&1
{
    echo '```text'
    # The gateway shows a missing label `instance` as an empty one.
    curl --silent --fail "$METRICS_PUSH_URL/metrics" | sed 's/instance="",//' | grep -E \
        '^batch_job_(last_(run_outcome.*"(error|success)"|run_duration|success_time)|success_deadline)'
    echo '```'
} | into_readme example

scheduler >"$scratch/out" 2>&1
metrics-push exec --job db_backup --every 24h -- sh -c 'exit 3' || true
# The shell reports the signal on stderr.
(metrics-push exec --job thumbnails --every 1h -- sh -c 'kill -KILL $$' || true) 2>/dev/null
metrics-push exec --job report --every 24h --max-runtime 2h -- sleep 60 &
running=$!
# Waits for the push of the start.
until curl --silent --fail "$METRICS_PUSH_URL/metrics" | grep --quiet 'start.*job="report"'; do sleep 0.1; done
{
    echo '$ metrics-push status'
    # `status` fails because of the failed jobs.
    TERM=xterm script --quiet --command "stty cols $COLUMNS_SHOWN; metrics-push status" /dev/null </dev/null || true
} | picture >"$PICTURE"
