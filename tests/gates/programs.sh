#!/usr/bin/env bash
# Lets clients of several languages, and programs that are built on Redis's streams, work with `callboard serve --data`: ioredis, node-redis,
# redis-cli, FastStream, taskiq and walrus. redis-py has a gate of its own, clients.py.
#
# What can't be fetched is left out by name. Usage: tests/gates/programs.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/gates/kit.sh

port=${CB_PORT:-21991}
programs=$PWD/tests/gates/programs
mkdir -p "$cache/node"

build
begin "$port"

if command -v npm >/dev/null && (cd "$cache/node" && { [[ -f package.json ]] || npm init -y; } && npm install ioredis@5 redis@5) >"$cache/npm.log" 2>&1; then
    (cd "$cache/node" && timeout 120 node "$programs/clients.mjs" "$port")
else
    echo 'skipped: ioredis and node-redis'
fi

python=$cache/python/bin/python
if command -v python3 >/dev/null && { [[ -x $python ]] || python3 -m venv "$cache/python"; } &&
    "$python" -m pip install -q 'faststream[redis]' taskiq taskiq-redis walrus >"$cache/pip.log" 2>&1; then
    timeout 120 "$python" "$programs/hello.py" "$port"
else
    echo 'skipped: FastStream, taskiq and walrus'
fi

if command -v redis-cli >/dev/null; then
    ask() { redis-cli -p "$port" "$@"; }
    same() { [[ $1 == "$2" ]] || { echo "redis-cli: '$1' and not '$2'"; exit 1; }; }
    same "$(ask XGROUP CREATE cli g '$' MKSTREAM)" OK
    id=$(ask XADD cli '*' item anvil)
    # Each of these is a client that goes with it in hand.
    same "$(ask XREADGROUP GROUP g alice COUNT 1 STREAMS cli '>' | tr '\n' ' ')" "cli $id item anvil "
    same "$(ask XAUTOCLAIM cli g bob 0 0 | tr '\n' ' ')" "0-0 $id item anvil  "
    same "$(ask XACK cli g "$id")" 1
    same "$(printf 'SET a 1\nINCR a\nGET a\n' | redis-cli -p "$port" | tr '\n' ' ')" 'OK 2 2 '
    same "$(seq 1 5000 | sed 's/.*/XADD piped * n &/' | redis-cli -p "$port" --pipe | tail -1)" 'errors: 0, replies: 5000'
    echo 'redis-cli: publishes, consumes, goes, and what it held is taken over; 5000 commands by --pipe'
else
    echo 'skipped: redis-cli'
fi
