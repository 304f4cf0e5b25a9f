# Read by the gates that are written in bash, from the project's folder: where they keep things, and the server.

cache=${CB_GATES:-${TMPDIR:-/tmp}/callboard-gates}
mkdir -p "$cache"

skip() {
    echo "skipped: $*"
    exit 0
}

# Has the server built, unless CB_BINARY names one, and names it there.
build() {
    if [[ -n ${CB_BINARY:-} ]]; then
        [[ -x $CB_BINARY ]] || { echo "CB_BINARY: $CB_BINARY is no program"; exit 1; }
        return
    fi
    command -v cargo >/dev/null || skip 'no cargo, and no CB_BINARY'
    cargo build --quiet --release --features server --bin callboard
    export CB_BINARY=${CARGO_TARGET_DIR:-target}/release/callboard
}

# begin PORT OPTION..: begins a server with an empty directory, and waits until it listens; it is `$server`, and ended with the script.
begin() {
    local port=$1
    shift
    rm -rf "$cache/data" "$cache/server.log"
    "$CB_BINARY" serve --listen "$port" --data "$cache/data" "$@" >"$cache/server.log" 2>&1 &
    server=$!
    trap 'kill $server ${others:-} 2>/dev/null; wait 2>/dev/null || true' EXIT
    until grep -qs 'listens at' "$cache/server.log"; do
        kill -0 $server || { cat "$cache/server.log"; exit 1; }
    done
}
