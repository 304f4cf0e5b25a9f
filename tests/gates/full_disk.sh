#!/usr/bin/env bash
# Lets clients of `callboard serve --data` write until the disk is full, and looks for what was confirmed: on a small tmpfs, and where a limit of
# the system (`ulimit -f`) lets no file grow.
#
# Usage: tests/gates/full_disk.sh. Builds the server unless CB_BINARY names one. To mount the tmpfs takes root, or a system that lets anybody
# have namespaces of their own; without either that part is skipped, and it says so. What is held: see full_disk.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/gates/kit.sh

command -v python3 >/dev/null || skip 'no python3'
build
if [[ $(id -u) != 0 && -z ${CB_OWN_SPACE:-} ]] && unshare --map-root-user --mount true 2>/dev/null; then
    CB_OWN_SPACE=yes exec unshare --map-root-user --mount "$0" "$@"
fi

disk=$(mktemp -d "${TMPDIR:-/tmp}/callboard-full-XXXXXX")
trap 'umount "$disk" 2>/dev/null || true; rmdir "$disk"' EXIT
failed=0
if mount -t tmpfs -o size=256m callboard-full "$disk" 2>/dev/null; then
    for fsync in always no; do
        python3 tests/gates/full_disk.py tmpfs "$disk" "$fsync" || failed=1
        rm -rf "${disk:?}"/*
    done
    umount "$disk"
else
    echo 'skipped: a tmpfs takes root to mount; `ulimit -f` alone'
fi
for size in 1000000 30000000 67000000; do
    python3 tests/gates/full_disk.py limit "$disk" "$size" || failed=1
    rm -rf "${disk:?}"/*
done
exit $failed
