#!/usr/bin/env bash
# Feeds the server's decoder and its commands sense and nonsense for a fixed time, with AddressSanitizer and with checks for overflow: mangled bytes in
# random pieces, random commands in both forms, in memory, on a simulated disk, and on one that is full at times.
#
# Usage: tests/gates/fuzz.sh [SECONDS]   (default: 60, of which the commands have two thirds)
# CB_FUZZ_SEED=N begins with another seed than 0; a failure names its own. Without a nightly toolchain for this kind of machine it says so, and
# ends with 0. It builds into a folder of its own in ${CB_GATES:-${TMPDIR:-/tmp}/callboard-gates}.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/gates/kit.sh

seconds=${1:-60}
cache=$cache/fuzz
target=x86_64-unknown-linux-gnu

command -v cargo >/dev/null || skip 'no cargo'
[[ $(uname -sm) == 'Linux x86_64' ]] || skip "AddressSanitizer is looked for on $target alone"
cargo +nightly --version >/dev/null 2>&1 || skip 'no nightly toolchain'

mkdir -p "$cache"
export CARGO_TARGET_DIR=$cache/target RUSTFLAGS=-Zsanitizer=address RUST_BACKTRACE=1
# Why not optimized: with AddressSanitizer that takes a quarter of an hour to build. Overflow is looked for too.
export CARGO_PROFILE_DEV_DEBUG=false
tests=(cargo +nightly test --quiet --target "$target" --all-features --lib)
"${tests[@]}" --no-run 2>"$cache/build.log" || { tail -30 "$cache/build.log"; exit 1; }

failed=0
CB_FUZZ_SECONDS=$((seconds * 2 / 3)) "${tests[@]}" -- server::tests::fuzz --nocapture >"$cache/commands.log" 2>&1 || failed=1
grep -h ' rounds: \|CB_FUZZ_SEED\|ERROR: AddressSanitizer' "$cache/commands.log" || true

# The decoder's and the codec's own tests, with more seeds each time, until the rest of it is over.
end=$((SECONDS + seconds - seconds * 2 / 3)) seeds=2000 done=0
while [[ $failed == 0 ]] && ((SECONDS < end)); do
    CB_SEEDS=$seeds PROPTEST_CASES=$seeds "${tests[@]}" -- server::resp::tests >"$cache/decoder.log" 2>&1 || failed=1
    done=$seeds seeds=$((seeds * 4))
done
grep -h 'seed \|panicked\|ERROR: AddressSanitizer' "$cache/decoder.log" || true
echo "$((failed ? 0 : done)) seeds of noise through the decoder; $((failed)) failures, with AddressSanitizer, in $SECONDS s with the build"
if [[ $failed != 0 ]]; then
    tail -40 "$cache/commands.log" "$cache/decoder.log"
    exit 1
fi
