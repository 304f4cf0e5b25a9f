//! Does the log do what the disk can? Each number is held against a raw probe of the same disk, in the same run.
//!
//! `cargo bench --bench disk`, with `CB_BENCH_DIR` for the disk in question, `CB_BENCH_LONG=1` for longer rounds, and
//! words behind `--` for the parts to run: `commits`, `api`, `topics`, `read`, `recovery`, `beside`, `space`. A line is
//! `PASS|SHORT|INFO`, what was measured, its value, the ratio or number that is held against the target, the target, and
//! what it is a ratio of. `SHORT` says that a target is missed; it is news, not a failure. The targets and what became of
//! them are in `docs/decisions/0011-the-log.md`.
//!
//! A commit here is from payloads to the disk: records and frames are built within the time. Both sides run in turn, in
//! several rounds, and the best round of each counts, since what else runs on a machine only adds.

#![expect(unreachable_pub, reason = "a program")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a bench")]
#![expect(
    clippy::disallowed_methods,
    reason = "it reads the clock and waits for the disk: that is what it is for"
)]

#[cfg(unix)]
mod api;
mod clock;
#[cfg(unix)]
mod engine;
#[cfg(unix)]
mod kept;
mod pages;
#[cfg(unix)]
mod probe;
mod report;

#[cfg(unix)]
fn main() {
    // Tests run benches once, to see that they build: nothing is to be measured then.
    if std::env::args().any(|arg| arg == "--test") || cfg!(debug_assertions) {
        return;
    }
    let parent = std::env::var_os("CB_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = parent.join(format!("callboard-disk-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let long = std::env::var_os("CB_BENCH_LONG").is_some();
    let words: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |part: &str| words.is_empty() || words.iter().any(|word| word == part);
    let before = probe::written();
    let mut bench =
        engine::Bench { probe: probe::Probe::new(&dir), dir: dir.clone(), times: if long { 10 } else { 1 } };
    if wanted("commits") {
        bench.commits();
    }
    if wanted("topics") {
        bench.topics();
    }
    if wanted("api") {
        bench.api();
    }
    if wanted("read") {
        bench.read();
    }
    if wanted("recovery") {
        bench.recovery();
    }
    if wanted("beside") {
        bench.beside();
    }
    if wanted("space") {
        bench.space();
    }
    if let (Some(before), Some(after)) = (before, probe::written()) {
        println!("in all {:.1} GB were charged as written", (after - before) as f64 / 1e9);
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[cfg(not(unix))]
fn main() {
    println!("not measured here: the raw probe is of unix");
}
