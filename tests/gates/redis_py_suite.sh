#!/usr/bin/env bash
# Runs redis-py's own tests of streams and Pub/Sub against `callboard serve --data` and against a real redis-server, in RESP2 and RESP3, and
# names what passes there and not here. Then its tests of what this server has of later versions, here alone: they are told that it is one.
#
# The tests come from redis-py's source package on PyPI, at test time, and are never committed. Without python3, the network or redis-server it
# says so and ends with 0. Usage: tests/gates/redis_py_suite.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/gates/kit.sh

port=${CB_PORT:-21995}
version=8.1.0

command -v python3 >/dev/null || skip 'no python3'
command -v redis-server >/dev/null || skip 'no redis-server to compare with'
python=$cache/python/bin/python
if [[ ! -d $cache/redis-$version ]] || ! "$python" -c 'import pytest_timeout, pytest_asyncio, redis' 2>/dev/null; then
    { python3 -m venv "$cache/python" \
        && "$python" -m pip install -q "redis==$version" pytest pytest-asyncio pytest-timeout pytest-cov numpy cachetools requests uvloop \
        && "$python" -m pip download -q --no-binary redis --no-deps "redis==$version" -d "$cache" \
        && tar xzf "$cache/redis-$version.tar.gz" -C "$cache"; } >"$cache/fetch.log" 2>&1 || skip "redis-py can't be fetched, see $cache/fetch.log"
fi
# The version that its tests go by.
sed -i 's/ = info\["redis_version"\]/ = __import__("os").environ.get("CB_VERSION") or info["redis_version"]/' "$cache/redis-$version/tests/conftest.py"

build
begin "$port" --fsync everysec
redis-server --port $((port + 1)) --save '' --appendonly no >"$cache/redis.log" 2>&1 &
others=$!
until grep -qs 'Ready to accept' "$cache/redis.log"; do
    kill -0 $others || { cat "$cache/redis.log"; exit 1; }
done

run() {
    (cd "$cache/redis-$version" && timeout 600 "$python" -m pytest -q -p no:cacheprovider --timeout 30 --redis-url "redis://localhost:$1/0" \
        --protocol "$2" tests/test_pubsub.py tests/test_asyncio/test_pubsub.py tests/test_commands.py tests/test_asyncio/test_commands.py \
        -k "${4:-pubsub or PubSub or test_x}") >"$3" 2>&1 || true
    tail -n 1 "$3"
    grep -a '^FAILED\|^ERROR' "$3" | sed 's/ - .*//' | sort >"$3.failed" || true
}

worse=0
for protocol in 2 3; do
    echo "redis 7.0.15, RESP$protocol: $(run $((port + 1)) $protocol "$cache/theirs")"
    echo "callboard, RESP$protocol:    $(run "$port" $protocol "$cache/ours")"
    if only=$(comm -13 "$cache/theirs.failed" "$cache/ours.failed") && [[ -n $only ]]; then
        echo "$only"
        worse=1
    fi
    later=$(CB_VERSION=8.8.0 run "$port" $protocol "$cache/later" 'xnack or xreadgroup_with_claim or xdelex or xackdel or with_options or xtrim')
    echo "callboard, RESP$protocol, later: $later"
    if [[ -s $cache/later.failed || $later != *passed* ]]; then
        cat "$cache/later.failed"
        worse=1
    fi
done
exit $worse
