//! Just enough of Rust's grammar to tell code from text, and shipped code from test code.
//!
//! Everything here blanks with spaces and keeps line breaks, so that an offset means the same before and after.

use std::ops::Range;

/// Returns `text` with comments and string and character literals blanked out.
pub(crate) fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out: Vec<u8> = bytes.iter().map(|&byte| if byte.is_ascii() { byte } else { b' ' }).collect();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if !follows_word(bytes, at) || b"bc".contains(&bytes[at - 1]) => {
                raw_string_end(bytes, at).unwrap_or(at)
            }
            b'\'' => char_end(text, at).unwrap_or(at),
            _ => at,
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).unwrap()
}

/// Returns the parts of `code` that are compiled for tests only: what follows `#[test]`, `#[cfg(test)]` or
/// `#[cfg(all(test, ..))]`. Takes what [`code`] returned.
pub(crate) fn test_parts(code: &str) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[") {
        let start = from + found;
        let end = matching(code, start + 1);
        from = end;
        if is_test_attribute(&code[start + 2..end - 1]) {
            from = item_end(code, end);
            parts.push(start..from);
        }
    }
    parts
}

/// Returns `text` as code without tests: comments, literals and test parts blanked.
pub(crate) fn shipped(text: &str) -> String {
    let code = code(text);
    let mut out = code.clone().into_bytes();
    for part in test_parts(&code) {
        out[part].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    String::from_utf8(out).unwrap()
}

/// Lists the words of `text` (letters, digits and underscores) with their offsets.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find(is_word)?;
        let length = text[start..].find(|c| !is_word(c)).unwrap_or(text.len() - start);
        from = start + length;
        Some((start, &text[start..from]))
    })
}

/// Returns the offset behind the bracket that closes the one at `open`, or the end of `code`.
pub(crate) fn matching(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Returns the offset behind the item, field or statement that starts at `start`, attributes included.
pub(crate) fn item_end(code: &str, start: usize) -> usize {
    const ITEMS: [&str; 13] = [
        "pub",
        "use",
        "mod",
        "fn",
        "impl",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "async",
        "macro_rules",
    ];
    let mut at = start + skip_space(&code[start..]);
    while code[at..].starts_with("#[") {
        at = matching(code, at + 1);
        at += skip_space(&code[at..]);
    }
    let first = words(&code[at..]).next().map_or("", |(_, word)| word);
    let item = ITEMS.contains(&first);
    let import = after_visibility(&code[at..]).starts_with("use ");
    while at < code.len() {
        match code.as_bytes()[at] {
            b';' => return at + 1,
            b',' if !item => return at + 1,
            b'}' => return at,
            b'{' if !(item && import) => return matching(code, at),
            b'(' | b'[' | b'{' => at = matching(code, at),
            _ => at += 1,
        }
    }
    code.len()
}

/// Returns what follows `pub`, `pub(crate)` and the like, or all of `item`.
pub(crate) fn after_visibility(item: &str) -> &str {
    let Some(rest) = item.strip_prefix("pub").map(str::trim_start) else { return item };
    if rest.starts_with('(') { rest[matching(rest, 0)..].trim_start() } else { rest }
}

/// Returns the number of the line, from 1, that `offset` lies on.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
}

pub(crate) fn skip_space(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && is_word(char::from(bytes[at - 1]))
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" if depth == 1 => return at + 2,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let hashes = bytes[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let length = bytes[open + 1..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| open + 1 + length + close.len()))
}

/// Where the character literal at `start` ends; `None` for a lifetime.
fn char_end(text: &str, start: usize) -> Option<usize> {
    let mut rest = text[start + 1..].char_indices();
    let (_, first) = rest.next()?;
    if first == '\\' {
        rest.next()?;
        return rest.find(|(_, c)| *c == '\'').map(|(at, _)| start + 1 + at + 1);
    }
    let (at, second) = rest.next()?;
    (second == '\'').then_some(start + 1 + at + 1)
}

fn is_test_attribute(attribute: &str) -> bool {
    let attribute: String = attribute.split_whitespace().collect();
    let Some(mut condition) = attribute.strip_prefix("cfg(").and_then(|rest| rest.strip_suffix(')')) else {
        return attribute == "test";
    };
    while let Some(inner) = condition.strip_prefix("all(") {
        condition = inner;
    }
    condition.split(',').any(|part| part.trim_end_matches(')') == "test" && !condition.starts_with("any("))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_offsets_stay() {
        let text = "a /* x /* y */ z */ b // c\nd \"q \\\" //\" r##\"s\"# t\"## 'u' '\\'' '\\u{1}' &'v w br\"x\" é for";
        let blanked = code(text);
        assert_eq!(blanked.len(), text.len());
        assert_eq!(blanked.split_whitespace().collect::<Vec<_>>(), ["a", "b", "d", "&'v", "w", "b", "for"]);
        assert_eq!(blanked.find("for"), text.find("for"));
        assert_eq!(line_of(text, text.find("for").unwrap()), 2);
    }

    #[test]
    fn test_only_items_are_told_from_shipped_ones() {
        let text = "\
            fn kept() {}\n\
            #[cfg(test)]\nuse gone::{A, B};\n\
            #[cfg(all(test, unix))]\n#[path = \"x\"]\nmod gone { fn gone() {} }\n\
            #[cfg(not(test))]\nfn kept_too() {}\n\
            struct S { #[cfg(test)] gone: Vec<u8>, stays: u8 }\n\
            #[cfg(any(test, unix))]\nfn also() {}\n\
            #[cfg(all(unix, test))]\npub(crate) fn gone<A, B>() -> u8 { 1 }\n\
            #[test]\nfn gone() {}\n";
        let rest = shipped(text);
        assert!(!rest.contains("gone"), "{rest}");
        for kept in ["kept", "kept_too", "stays", "also"] {
            assert!(words(&rest).any(|(_, word)| word == kept), "{kept}: {rest}");
        }
    }
}
