//! A module uses lower layers only: never a higher one, never its neighbour.

use crate::lexer::{line_of, matching, shipped, skip_space, words};
use crate::tree::Violation;

/// The folders of `src/` and how high each stands. `sim` stands beside them and sees them all.
const LAYERS: [(&str, usize); 8] = [
    ("base", 0),
    ("runtime", 1),
    ("mailbox", 2),
    ("log", 2),
    ("actor", 3),
    ("supervise", 4),
    ("broker", 5),
    ("server", 6),
];

pub(crate) fn violations(path: &str, text: &str) -> Vec<Violation> {
    let Some(inside) = path.strip_prefix("src/").and_then(|rest| rest.strip_suffix(".rs")) else {
        return vec![];
    };
    let mut module: Vec<&str> = inside.split('/').collect();
    if module.last() == Some(&"mod") {
        module.pop();
    }
    let own = module[0];
    // Why: the roots name every layer to re-export it, and a binary is a crate of its own.
    if ["lib", "prelude", "bin"].contains(&own) || is_test_file(path) {
        return vec![];
    }
    if own != "sim" && level(own).is_none() {
        return vec![Violation::new(
            1,
            format!("`{own}` is no layer: give it a place in tests/tidy/layers.rs"),
        )];
    }
    let code = shipped(text);
    uses(&code, module.len())
        .into_iter()
        .filter_map(|(offset, target)| Some(Violation::new(line_of(&code, offset), advice(own, target)?)))
        .collect()
}

/// Says whether a whole file is compiled for tests only, by its name.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
        || path.contains("/tests/")
}

fn level(layer: &str) -> Option<usize> {
    LAYERS.iter().find(|(name, _)| *name == layer).map(|(_, level)| *level)
}

/// What is wrong with `own` using `target`; `None` if nothing is.
fn advice(own: &str, target: &str) -> Option<String> {
    if own == target {
        return None;
    }
    if target == "sim" {
        return Some("nothing sees `sim`: put what both need into a lower layer".to_owned());
    }
    let Some(height) = level(target) else {
        return Some(format!("`crate::{target}` is no layer: name the layer that the item lives in"));
    };
    if own == "sim" || Some(height) < level(own) {
        return None;
    }
    Some(format!("`{own}` may not use `{target}`, which is not below it: move the item down, or pass it in"))
}

/// Lists what follows `crate::`, or a chain of `super::` that reaches the crate's root, with offsets.
fn uses(code: &str, depth: usize) -> Vec<(usize, &str)> {
    let modules = inline_modules(code);
    let all: Vec<(usize, &str)> = words(code).collect();
    let mut found = Vec::new();
    for (index, &(offset, word)) in all.iter().enumerate() {
        let before = code[..offset].trim_end();
        // Why `in`: `pub(in crate::a)` limits a name, it uses nothing.
        if before.ends_with("::") || before.ends_with("(in") {
            continue;
        }
        let mut end = offset + word.len();
        match word {
            "crate" => {}
            "super" => {
                let nested = modules.iter().filter(|(start, end)| (*start..*end).contains(&offset)).count();
                let supers = all[index..]
                    .windows(2)
                    .take_while(|pair| pair[1].1 == "super" && &code[pair[0].0 + 5..pair[1].0] == "::")
                    .count();
                if supers + 1 < depth + nested {
                    continue;
                }
                end = all[index + supers].0 + word.len();
            }
            _ => continue,
        }
        if let Some(rest) = code[end..].strip_prefix("::") {
            found.extend(first_segments(rest).into_iter().map(|segment| (offset, segment)));
        }
    }
    found
}

/// The first segment of a path, or those of a braced list of paths.
fn first_segments(rest: &str) -> Vec<&str> {
    if !rest.starts_with('{') {
        return words(rest).take(1).map(|(_, word)| word).collect();
    }
    let group = &rest[1..matching(rest, 0) - 1];
    let mut segments = Vec::new();
    let mut at = 0;
    while at < group.len() {
        at += skip_space(&group[at..]);
        segments.extend(words(&group[at..]).take(1).map(|(_, word)| word));
        while at < group.len() && group.as_bytes()[at] != b',' {
            at = if group.as_bytes()[at] == b'{' { matching(group, at) } else { at + 1 };
        }
        at += 1;
    }
    segments
}

/// The offsets that each `mod name { .. }` of the file spans.
fn inline_modules(code: &str) -> Vec<(usize, usize)> {
    let mut modules = Vec::new();
    let mut all = words(code);
    while let Some((_, word)) = all.next() {
        if word == "mod"
            && let Some((offset, name)) = all.next()
        {
            let open = offset + name.len();
            let open = open + skip_space(&code[open..]);
            if code[open..].starts_with('{') {
                modules.push((open, matching(code, open)));
            }
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn caught(path: &str, text: &str, lines: &[usize]) {
        let found: Vec<usize> = violations(path, text).iter().map(|violation| violation.line).collect();
        assert_eq!(found, lines, "{path}: {text}");
    }

    #[test]
    fn an_upward_or_sideways_use_is_caught() {
        caught("src/base/x.rs", "use crate::runtime::Rt;", &[1]);
        caught("src/mailbox/x.rs", "use crate::base::Name;\nuse crate::log::Frame;", &[2]);
        caught("src/actor/x/y.rs", "\nfn f() { crate::broker::g() }", &[2]);
        caught("src/actor/x.rs", "use crate::{base::{A, B}, supervise::C, mailbox, broker::D};", &[1, 1]);
        caught("src/actor/x.rs", "use super::super::supervise;", &[1]);
        caught("src/actor/mod.rs", "use super::supervise;", &[1]);
        caught("src/actor/x.rs", "mod y {\nuse super::super::super::supervise;\n}", &[2]);
        caught("src/runtime/x.rs", "use crate::sim::Sim;", &[1]);
        caught("src/broker/x.rs", "use crate::Broker;", &[1]);
        caught("src/helpers/x.rs", "", &[1]);
    }

    #[test]
    fn a_downward_use_passes_and_so_do_tests_and_docs() {
        caught("src/broker/x.rs", "use crate::{actor, base::Name};\nuse super::super::mailbox;", &[]);
        caught("src/base/x.rs", "/// [`Rt`](crate::runtime::Rt)\nfn f() {}", &[]);
        caught("src/base/x.rs", "#[cfg(test)]\nmod tests { use crate::runtime::Rt; }", &[]);
        caught("src/base/tests.rs", "use crate::sim::Sim;", &[]);
        caught("src/sim/x.rs", "use crate::broker::Broker;", &[]);
        caught("src/actor/x.rs", "pub(in crate::actor) fn f() {}\nuse super::sibling;", &[]);
        caught("src/actor/x/y.rs", "mod z {\nuse super::super::x;\nuse super::super::super::w;\n}", &[]);
        caught("src/lib.rs", "pub use crate::broker::Broker;", &[]);
    }
}
