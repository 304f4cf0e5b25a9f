//! Names that only one place may use, or none.

use crate::layers::is_test_file;
use crate::lexer::{code, line_of, shipped, words};
use crate::tree::Violation;

/// Runtimes and clocks are named in `src/runtime` only; a runtime also by a binary, which is who chooses one.
pub(crate) fn runtimes_and_clocks(path: &str, text: &str) -> Vec<Violation> {
    const RUNTIMES: [&str; 5] = ["tokio", "smol", "async_io", "async_std", "futures_timer"];
    const CLOCKS: [&str; 2] = ["Instant::now", "SystemTime::now"];
    if !is_source(path) || path.starts_with("src/runtime/") || is_test_file(path) {
        return vec![];
    }
    let code = shipped(text);
    let runtimes: &[&str] = if path.starts_with("src/bin/") { &[] } else { &RUNTIMES };
    let named = find(&code, runtimes, "is a runtime: only src/runtime may name it, go through `Rt`");
    let read = find(&code, &CLOCKS, "reads a clock: only src/runtime may, take a `Moment` as an argument");
    named.into_iter().chain(read).collect()
}

/// Every queue has a limit.
pub(crate) fn limitless(path: &str, text: &str) -> Vec<Violation> {
    const CONSTRUCTORS: [&str; 4] =
        ["unbounded", "unbounded_channel", "unbounded_with_len", "mpsc::channel()"];
    if !is_ours(path) {
        return vec![];
    }
    find(&code(text), &CONSTRUCTORS, "has no limit: use a bounded channel and name the limit")
}

/// No map whose order differs from run to run.
pub(crate) fn random_order(path: &str, text: &str) -> Vec<Violation> {
    const MAPS: [&str; 3] = ["HashMap", "HashSet", "RandomState"];
    // Why: there one is planted, to see that it is caught.
    if !is_ours(path) || path == "tests/tripwire/main.rs" {
        return vec![];
    }
    find(&code(text), &MAPS, "has another order in each run: use a BTreeMap or BTreeSet")
}

/// Tests wait for events, or let virtual time pass, and never sleep; one file of the harness may.
pub(crate) fn sleeps(path: &str, text: &str) -> Vec<Violation> {
    const HARNESS: &str = "tests/it/every.rs";
    if !path.starts_with("tests/") || !path.ends_with(".rs") || path == HARNESS {
        return vec![];
    }
    let code = code(text);
    words(&code)
        .filter(|(offset, word)| {
            let call = code[offset + word.len()..].starts_with('(');
            let virtual_time = code[..*offset].ends_with("sim.");
            matches!(*word, "sleep" | "sleep_until") && call && !virtual_time
        })
        .map(|(offset, _)| {
            Violation::new(line_of(&code, offset), "a test never sleeps: await the event, or use `sim.sleep`")
        })
        .collect()
}

fn is_source(path: &str) -> bool {
    path.starts_with("src/") && path.ends_with(".rs")
}

/// The crate's own code; `benches/peers` measures other people's.
fn is_ours(path: &str) -> bool {
    path.ends_with(".rs") && !path.starts_with("benches/peers/")
}

/// Finds whole words, or paths of words, in code.
fn find(code: &str, names: &[&str], advice: &str) -> Vec<Violation> {
    words(code)
        .filter_map(|(offset, _)| {
            let rest = &code[offset..];
            let name = names.iter().find(|name| {
                rest.strip_prefix(**name)
                    .is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
            })?;
            Some(Violation::new(line_of(code, offset), format!("`{name}` {advice}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(found: Vec<Violation>) -> Vec<usize> {
        found.into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_runtime_named_outside_its_layer_is_caught() {
        let text = "/// Like `tokio::spawn`.\n#[cfg(feature = \"tokio\")]\nuse tokio::task;\nlet a = my_tokio;\nsmol::spawn(b)";
        assert_eq!(lines(runtimes_and_clocks("src/actor/x.rs", text)), [3, 5]);
        assert_eq!(lines(runtimes_and_clocks("src/runtime/x.rs", text)), []);
        assert_eq!(lines(runtimes_and_clocks("src/bin/callboard/x.rs", "use tokio::signal;")), []);
        assert_eq!(lines(runtimes_and_clocks("src/actor/tests.rs", text)), []);
        assert_eq!(lines(runtimes_and_clocks("src/x/y.rs", "#[cfg(test)]\nmod t { use tokio::task; }")), []);
    }

    #[test]
    fn a_clock_read_outside_its_layer_is_caught() {
        let text = "let a = Instant::now();\nlet b = std::time::SystemTime::now();\nlet c = rt.now();";
        assert_eq!(lines(runtimes_and_clocks("src/broker/x.rs", text)), [1, 2]);
    }

    #[test]
    fn a_queue_without_a_limit_is_caught() {
        let text = "async_channel::unbounded();\nmpsc::unbounded_channel::<u8>();\nmpsc::channel();\n// unbounded\nbounded(1)";
        assert_eq!(lines(limitless("src/x/y.rs", text)), [1, 2, 3]);
        assert_eq!(lines(limitless("tests/it/x.rs", text)), [1, 2, 3]);
        assert_eq!(lines(limitless("benches/peers/src/main.rs", text)), []);
    }

    #[test]
    fn a_map_in_random_order_is_caught() {
        let text = "use std::collections::{BTreeMap, HashMap};\nlet a: HashSet<u8>;\n// a HashMap\nMyHashMap";
        assert_eq!(lines(random_order("examples/x.rs", text)), [1, 2]);
    }

    #[test]
    fn a_test_that_sleeps_is_caught() {
        let text =
            "sim.sleep(d).await;\nthread::sleep(d);\nrt.sleep_until(at).await;\n// sleep(1)\nfn sleeper() {}";
        assert_eq!(lines(sleeps("tests/it/delivery.rs", text)), [2, 3]);
        assert_eq!(lines(sleeps("tests/it/every.rs", text)), []);
    }
}
