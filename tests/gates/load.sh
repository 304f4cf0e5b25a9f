#!/usr/bin/env bash
# Load: `callboard serve --data` beside a redis-server with the same promise (appendonly, everysec and always), in one run, with redis-benchmark.
#
# Each line has requests per second and the 99th percentile in milliseconds, of Redis and of callboard, and whether the target is met: Redis's throughput
# with everysec, twice of it with always at 64 connections. Then the CPU seconds and the memory of each. Runs alone on a quiet machine mean
# something. Usage: tests/gates/load.sh [TIMES_AS_MANY]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/gates/kit.sh

times=${1:-1}
port=${CB_PORT:-21981}

for tool in redis-server redis-benchmark redis-cli; do
    command -v $tool >/dev/null || skip "no $tool"
done
build

# measure PORT CONNECTIONS PIPELINE REQUESTS COMMAND..: requests per second, and the 99th percentile
measure() {
    local port=$1 connections=$2 pipeline=$3 requests=$4
    shift 4
    redis-benchmark -p "$port" -c "$connections" -P "$pipeline" -n "$requests" -r 1000000 "$@" 2>/dev/null | tr '\r' '\n' |
        awk '/throughput summary/ { rate = $3 } /^ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ *$/ { p99 = $5 } END { printf "%d %.2f", rate, p99 }'
}

# line NAME WANTED CONNECTIONS PIPELINE REQUESTS COMMAND..
line() {
    local name=$1 wanted=$2 theirs ours
    shift 2
    read -ra theirs <<<"$(measure $((port + 1)) "$@")"
    read -ra ours <<<"$(measure "$port" "$@")"
    awk -v name="$name" -v theirs="${theirs[0]}" -v ours="${ours[0]}" -v p="${theirs[1]}" -v q="${ours[1]}" -v wanted="$wanted" 'BEGIN {
        ratio = ours / theirs
        verdict = wanted == 0 ? "" : ratio >= wanted ? "PASS" : "SHORT"
        printf "%-36s redis %7d/s %7.2f ms   callboard %7d/s %7.2f ms   %4.2f %s\n", name, theirs, p, ours, q, ratio, verdict
    }'
}

both() { for of in $port $((port + 1)); do redis-cli -p "$of" "$@" >/dev/null; done; }

used() { printf '%s CPU %s, %d MB' "$1" "$(ps -o time= -p "$2" | tr -d ' ')" $(($(ps -o rss= -p "$2") / 1024)); }

for fsync in everysec always; do
    rm -rf "$cache/redis" && mkdir -p "$cache/redis"
    redis-server --port $((port + 1)) --save '' --appendonly yes --appendfsync $fsync --dir "$cache/redis" >/dev/null 2>&1 &
    others=$!
    begin "$port" --fsync $fsync
    until redis-cli -p $((port + 1)) PING; do :; done >/dev/null 2>&1
    # What these clients can ask at most: nothing above it can be told apart here.
    line "$fsync PING c=64 P=1" 0 64 1 $((times * 30000)) PING
    for size in 100 1024; do
        value=$(head -c $size /dev/zero | tr '\0' x)
        for connections in 1 16 64; do
            for pipeline in 1 16; do
                requests=$((times * 4000 * (connections == 1 ? 1 : 5) * (pipeline == 1 ? 1 : 4)))
                wanted=1
                [[ $fsync == always ]] && { requests=$((requests / 4)); wanted=0; [[ $connections == 64 ]] && wanted=2; }
                line "$fsync XADD ${size} B c=$connections P=$pipeline" $wanted $connections $pipeline $requests XADD s '*' f "$value"
                both XTRIM s MAXLEN 0
            done
        done
    done
    # Entries with ids that a benchmark can draw: handed out by one group, acknowledged by chance.
    for of in $port $((port + 1)); do
        { echo "XGROUP CREATE r g 0 MKSTREAM"; seq 1 100000 | sed 's/.*/XADD r &-1 f v/'; } | redis-cli -p "$of" --pipe >/dev/null
    done
    for connections in 16 64; do
        for pipeline in 1 16; do
            requests=$((times * 10000))
            line "$fsync XREADGROUP c=$connections P=$pipeline" $([[ $fsync == always ]] && echo 0 || echo 1) $connections $pipeline $requests XREADGROUP GROUP g c COUNT 1 STREAMS r '>'
            line "$fsync XACK c=$connections P=$pipeline" $([[ $fsync == always ]] && echo 0 || echo 1) $connections $pipeline $requests XACK r g __rand_int__-1
        done
    done
    echo "$fsync: $(used redis $others); $(used callboard $server)"
    kill $others $server
    wait $others $server 2>/dev/null || true
done
