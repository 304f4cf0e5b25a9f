# What `.ci/run` does, in pieces.

export RUSTDOCFLAGS := "-D warnings"

_default:
    @just --list

# The cheap checks: format, rules, lints.
check: lint
    cargo tidy

# The tests of the README's second command.
test *args:
    cargo test {{args}}

lint:
    cargo fmt --check
    cargo clippy --all-targets --all-features -- -D warnings

doc *args:
    cargo doc --no-deps --all-features {{args}}

# The speed comparisons.
bench *args:
    cargo run --release --manifest-path benches/peers/Cargo.toml -- {{args}}

# The comparisons with a stated target: one number each, PASS or SHORT.
gates: (bench "gates")

# Locks and atomics under the schedule explorer.
explore *args:
    .ci/explore {{args}}

# The server, by Redis's suite, client libraries and programs: what takes a minute of it.
server-gates:
    tests/gates/quick.sh

# Everything a change must pass.
ci:
    .ci/run
