#!/usr/bin/env bash
# Runs units of Redis 7.0.15's own test suite against `callboard serve --data`, and prints what passed. Where the suite drops
# memory and reads the disk (`DEBUG LOADAOF`), the server does so from its log.
#
# The suite comes from Debian's source package, at test time, and is never committed. Usage:
# tests/gates/redis_suite.sh [UNIT ..]; default: unit/pubsub, unit/type/stream, unit/type/stream-cgroups. Without the network, tclsh or apt-get it says so and ends
# with 0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/gates/kit.sh

port=${CB_PORT:-21999}
units=("$@")
[[ ${#units[@]} -gt 0 ]] || units=(unit/pubsub unit/type/stream unit/type/stream-cgroups)
# What real Redis passes and this server does not, by the names that the suite gives its tests.
skipped=(
    # RESTORE, of a payload in Redis's own format.
    'Loading from legacy (Redis <= v6.2.x, rdb_ver < 10) persistence'
)

fetch() {
    [[ -d $cache/redis-7.0.15 ]] && return
    command -v apt-get >/dev/null || skip 'no apt-get to fetch the suite with'
    mkdir -p "$cache/lists/partial"
    local sources=/etc/apt/sources.list.d/debian.sources
    [[ -f $sources ]] || skip "no $sources"
    sed 's/^Types: deb$/Types: deb-src/' "$sources" >"$cache/src.sources"
    local options=(-o "Dir::Etc::sourcelist=$cache/src.sources" -o Dir::Etc::sourceparts=/nonexistent
        -o "Dir::State::lists=$cache/lists")
    (cd "$cache" && apt-get -qq "${options[@]}" update && apt-get -qq "${options[@]}" source --download-only redis) \
        >"$cache/fetch.log" 2>&1 || skip "the suite can't be fetched, see $cache/fetch.log"
    tar xzf "$cache"/redis_7.0.15.orig.tar.gz -C "$cache"
}

command -v tclsh >/dev/null || skip 'no tclsh'
fetch
build
# One thread: a few of its tests count on one connection's command being done before the next one's, as it is in Redis.
begin "$port" --threads 1 --fsync everysec

printf '%s\n' "${skipped[@]}" >"$cache/skip"
singles=()
for unit in "${units[@]}"; do singles+=(--single "$unit"); done
(cd "$cache/redis-7.0.15" && timeout 600 ./runtest --host 127.0.0.1 --port "$port" "${singles[@]}" --durable --skipfile "$cache/skip") \
    >"$cache/suite.log" 2>&1 || true
plain=$(sed 's/\x1b\[[0-9;]*m//g' "$cache/suite.log")
passed=$(grep -c '^\[ok\]' <<<"$plain" || true)
failed=$(grep -c '^\[err\]\|^\[exception\]' <<<"$plain" || true)
echo "redis 7.0.15, ${units[*]}: $passed passed, $failed failed, ${#skipped[@]} skipped by name"
if [[ $failed -gt 0 || $passed -eq 0 ]]; then
    echo "$plain" | tail -60
    exit 1
fi
