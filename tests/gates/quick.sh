#!/usr/bin/env bash
# The gates that CI runs: those that take seconds, or with so few rounds and seeds that they do. What can't be fetched is left out by name.
#
# Usage: tests/gates/quick.sh. Builds the server unless CB_BINARY names one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/gates/kit.sh

build
gate() {
    printf '    $ tests/gates/%s\n' "$*"
    "tests/gates/$@"
}

gate redis_suite.sh
gate programs.sh
if command -v python3 >/dev/null; then
    gate clients.py
    gate kill9.py 10
    gate same_answers.py 30
    gate abuse.py prefixes lengths headers half_close garbage
else
    echo 'skipped: clients.py, kill9.py, same_answers.py and abuse.py, for want of python3'
fi
