//! A `mod.rs` is an essay and a table of contents: no logic.

use crate::lexer::{after_visibility, item_end, line_of, matching, shipped, skip_space, words};
use crate::tree::Violation;

pub(crate) fn violations(path: &str, text: &str) -> Vec<Violation> {
    if !path.starts_with("src/") || !path.ends_with("/mod.rs") {
        return vec![];
    }
    let code = shipped(text);
    let mut found = Vec::new();
    let mut at = skip_space(&code);
    while at < code.len() {
        let end = if code[at..].starts_with('#') {
            matching(&code, at + code[at..].find('[').unwrap_or(0))
        } else {
            // Why max: a stray closing brace ends no item, and the walk must go on.
            let end = item_end(&code, at).max(at + 1);
            if !lists_a_module_or_a_name(&code[at..end]) {
                found.push(Violation::new(
                    line_of(&code, at),
                    "no logic in a mod.rs: move it to a file of its own",
                ));
            }
            end
        };
        at = end + skip_space(&code[end..]);
    }
    found
}

fn lists_a_module_or_a_name(item: &str) -> bool {
    let rest = after_visibility(item);
    let first = words(rest).next().map_or("", |(_, word)| word);
    first == "use" || (first == "mod" && rest.ends_with(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logic_in_a_mod_file_is_caught() {
        let text = "//! Essay.\n#![cfg_attr(a, b)]\nmod a;\n#[cfg(unix)]\npub(crate) mod b;\n\npub use self::{\n    a::A,\n    b::B,\n};\n\
                    fn logic() { 1 }\npub struct S;\nmod c {\n}\nuse d::*;\nmacro_rules! m { () => {} }\n#[cfg(test)]\nmod t { fn f() {} }\n";
        let lines: Vec<usize> =
            violations("src/a/mod.rs", text).iter().map(|violation| violation.line).collect();
        assert_eq!(lines, [11, 12, 13, 16]);
        assert_eq!(violations("src/a/b.rs", text), []);
    }
}
