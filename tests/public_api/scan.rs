//! A list of everything public in `src/`, one line each, made from the text of the sources.
//!
//! It is enough to look at `pub`: the lint `unreachable_pub` sees to it that whatever says so can be reached. What
//! is marked `#[doc(hidden)]` is left out, unless a visible module re-exports it. A line is a path, by the file an item is written
//! in, and what stands there; re-exports have lines of their own.

use std::collections::{BTreeMap, BTreeSet};

use crate::lexer::{after_visibility, item_end, matching, shipped, skip_space, words};

/// Scans the files, each a path below `src/` and a text, and returns the sorted lines.
pub(crate) fn public_items(files: &[(String, String)]) -> BTreeSet<String> {
    let mut scan = Scan::default();
    let mut modules: Vec<(String, String)> =
        files.iter().map(|(path, text)| (module_of(path), shipped(text))).collect();
    // Why sorted: the crate's root comes first, and says what is hidden.
    modules.sort();
    // Why twice: an `impl` may come before its type, in a file of its own.
    for collecting in [true, false] {
        scan.collecting = collecting;
        for (module, code) in &modules {
            scan.items(code, &Owner::Module(module.clone()));
        }
    }
    scan.lines
}

#[derive(Default)]
struct Scan {
    collecting: bool,
    /// Where each public type and trait is written.
    types: BTreeMap<String, String>,
    /// The names of the others.
    private: BTreeSet<String>,
    hidden: BTreeSet<String>,
    /// What is public again by a re-export.
    shown: BTreeSet<String>,
    lines: BTreeSet<String>,
}

/// What an item is written in, with its path.
enum Owner {
    Module(String),
    Type(String),
    Trait(String),
}

impl Owner {
    fn join(&self, name: &str) -> String {
        let (Owner::Module(path) | Owner::Type(path) | Owner::Trait(path)) = self;
        if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") }
    }
}

impl Scan {
    fn items(&mut self, code: &str, owner: &Owner) {
        let mut at = skip_space(code);
        while at < code.len() {
            let (attributes, start) = attributes(code, at);
            // Why max: a stray semicolon or brace ends no item, and the walk must go on.
            let end = item_end(code, start).max(start + 1).min(code.len());
            self.item(&code[start..end], &attributes, owner);
            at = end + skip_space(&code[end..]);
        }
    }

    fn item(&mut self, item: &str, attributes: &[String], owner: &Owner) {
        let rest = after_visibility(item);
        let bare = item.strip_prefix("pub").is_some_and(|after| !after.trim_start().starts_with('('));
        let public = bare || matches!(owner, Owner::Trait(_));
        let (modifiers, keyword, rest) = keyword(rest);
        let name = words(rest).next().map_or("", |(_, word)| word);
        let after = rest.find(name).map_or("", |at| &rest[at + name.len()..]);
        if attributes.iter().any(|attribute| attribute == "doc(hidden)") {
            if keyword == "mod" {
                self.hidden.insert(owner.join(name));
            }
            return;
        }
        match keyword {
            "mod" if after.trim_start().starts_with('{') => {
                self.items(body(after), &Owner::Module(owner.join(name)));
            }
            "mod" | "macro_rules" => {}
            "impl" => self.implementation(rest),
            "" if rest.contains('!') && rest.trim_end().ends_with('}') => self.items(body(rest), owner),
            "struct" | "enum" | "union" | "trait" if !public => drop(self.private.insert(name.to_owned())),
            _ if !public => {}
            "use" => self.export(rest.trim_end_matches(';'), &owner.join("*")),
            "fn" => {
                let provided = matches!(owner, Owner::Trait(_)) && item.ends_with('}');
                let signature = format!("{modifiers}fn{}", head(after));
                self.line(
                    &owner.join(name),
                    &format!("{signature}{}", if provided { ", provided" } else { "" }),
                );
            }
            "const" | "static" => {
                let of = after.split('=').next().unwrap_or_default().trim_end_matches(';');
                self.line(&owner.join(name), &format!("{keyword}{of}"));
            }
            "type" => self.line(&owner.join(name), &format!("type{}", after.trim_end_matches(';'))),
            "struct" | "enum" | "union" | "trait" => self.definition(keyword, name, after, attributes, owner),
            _ => {}
        }
    }

    fn definition(&mut self, keyword: &str, name: &str, after: &str, attributes: &[String], owner: &Owner) {
        let path = owner.join(name);
        self.types.insert(name.to_owned(), path.clone());
        let generics = if after.starts_with('<') { angle_end(after) } else { 0 };
        let tuple = after[generics..].starts_with('(');
        let open = if tuple { Some(generics) } else { after.find(['{', ';']) }.unwrap_or(after.len());
        let mut line = format!("{keyword}{}", head(&after[..open]));
        for attribute in attributes {
            if let Some(derived) = attribute.strip_prefix("derive(") {
                line += &format!(", derives {}", derived.trim_end_matches(')'));
            } else if attribute == "non_exhaustive" {
                line += ", non-exhaustive";
            }
        }
        self.line(&path, &line);
        if open == after.len() || after[open..].starts_with(';') {
            return;
        }
        if keyword == "trait" {
            self.items(body(after), &Owner::Trait(path));
            return;
        }
        let parts = &after[open + 1..matching(after, open) - 1];
        for (index, part) in split(parts).into_iter().enumerate() {
            let (_, start) = attributes_of(part);
            let part = &part[start..];
            if keyword == "enum" {
                let variant = words(part).next().map_or("", |(_, word)| word);
                self.line(&format!("{path}::{variant}"), &format!("variant{}", &part[variant.len()..]));
            } else if part.strip_prefix("pub").is_some_and(|after| !after.trim_start().starts_with('(')) {
                let field = after_visibility(part);
                let (field, of) = field.split_once(": ").filter(|_| !tuple).unwrap_or(("", field));
                let field = if field.is_empty() { index.to_string() } else { field.to_owned() };
                self.line(&format!("{path}.{field}"), of);
            }
        }
    }

    fn export(&mut self, names: &str, path: &str) {
        if !self.is_hidden(path) {
            let types =
                words(names).map(|(_, word)| word).filter(|word| word.starts_with(char::is_uppercase));
            self.shown.extend(types.map(str::to_owned));
        }
        self.line(path, &format!("use {names}"));
    }

    /// Takes what follows the word `impl`.
    fn implementation(&mut self, rest: &str) {
        let generics = &rest[..if rest.starts_with('<') { angle_end(rest) } else { 0 }];
        let header = &rest[generics.len()..rest.find('{').unwrap_or(rest.len())];
        let Some((of, target)) = header.split_once(" for ") else {
            if let Some(path) = self.types.get(last_segment(header)).cloned() {
                self.items(body(rest), &Owner::Type(path));
            }
            return;
        };
        if [of, target].iter().any(|part| self.private.contains(last_segment(part))) {
            return;
        }
        let condition = target.split_once("where").map_or("", |(_, condition)| condition.trim());
        let condition = if condition.is_empty() { String::new() } else { format!(" where {condition}") };
        if let Some(path) = self.types.get(last_segment(target)).cloned() {
            self.line(&path, &format!("impl{generics} {}{condition}", of.trim()));
        } else if let Some(path) = self.types.get(last_segment(of)).cloned() {
            self.line(&path, &format!("impl{generics} for {target}"));
        }
    }

    fn line(&mut self, path: &str, what: &str) {
        if self.collecting
            || (self.is_hidden(path) && !path.split([':', '.']).any(|part| self.shown.contains(part)))
        {
            return;
        }
        self.lines.insert(format!("{path}: {}", one_line(what)));
    }

    fn is_hidden(&self, path: &str) -> bool {
        self.hidden.iter().any(|hidden| path.strip_prefix(hidden).is_some_and(|rest| rest.starts_with("::")))
    }
}

/// The last segment of the path that a type or trait starts with: `Name` of `&base::Name<T>`.
fn last_segment(of: &str) -> &str {
    let plain = of.trim_start_matches(['&', ' ']).split(['<', ' ']).next().unwrap_or_default();
    plain.rsplit("::").next().unwrap_or_default()
}

/// `base/name.rs` is written in the module `base::name`, `base/mod.rs` in `base`, `lib.rs` in the crate's root.
fn module_of(path: &str) -> String {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { String::new() } else { path.replace('/', "::") }
}

/// The attributes at `at`, without brackets and white space, and where the item behind them starts.
fn attributes(code: &str, at: usize) -> (Vec<String>, usize) {
    let (attributes, length) = attributes_of(&code[at..]);
    (attributes, at + length)
}

fn attributes_of(code: &str) -> (Vec<String>, usize) {
    let mut found = Vec::new();
    let mut at = skip_space(code);
    while code[at..].starts_with("#") {
        let Some(open) = code[at..].find('[').map(|open| at + open) else { break };
        let end = matching(code, open);
        found.push(code[open + 1..end - 1].split_whitespace().collect::<Vec<_>>().join(" "));
        at = end + skip_space(&code[end..]);
    }
    (found, at)
}

/// Splits `const async fn f` into its modifiers, its keyword and the rest.
fn keyword(item: &str) -> (String, &str, &str) {
    const KEYWORDS: [&str; 11] =
        ["mod", "use", "fn", "type", "static", "struct", "enum", "union", "trait", "impl", "macro_rules"];
    let mut modifiers = String::new();
    let mut rest = item;
    while let Some((at, word)) = words(rest).next().filter(|(at, _)| rest[..*at].trim().is_empty()) {
        let after = &rest[at + word.len()..];
        let next = words(after).next().map_or("", |(_, word)| word);
        if KEYWORDS.contains(&word) || (word == "const" && !["fn", "async", "unsafe"].contains(&next)) {
            return (modifiers, word, after);
        }
        if !["const", "async", "unsafe", "auto", "extern"].contains(&word) {
            break;
        }
        modifiers += word;
        modifiers.push(' ');
        rest = after;
    }
    (modifiers, "", item)
}

/// What stands before the body, or before the semicolon.
fn head(after: &str) -> &str {
    let mut at = 0;
    while at < after.len() {
        match after.as_bytes()[at] {
            b'{' | b';' => break,
            b'(' | b'[' => at = matching(after, at),
            _ => at += 1,
        }
    }
    &after[..at.min(after.len())]
}

fn body(item: &str) -> &str {
    let Some(open) = item.find('{') else { return "" };
    &item[open + 1..matching(item, open) - 1]
}

/// Splits at the commas outside of all brackets.
fn split(parts: &str) -> Vec<&str> {
    let (mut from, mut at, mut angles) = (0, 0, 0usize);
    let mut found = Vec::new();
    while at < parts.len() {
        match parts.as_bytes()[at] {
            b'(' | b'[' | b'{' => {
                at = matching(parts, at);
                continue;
            }
            b'<' => angles += 1,
            b'>' if !parts[..at].ends_with(['-', '=']) => angles = angles.saturating_sub(1),
            b',' if angles == 0 => {
                found.push(parts[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    found.push(parts[from..].trim());
    found.retain(|part| !part.is_empty());
    found
}

/// Where the angle bracket that `text` starts with is closed.
fn angle_end(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if !text[..at].ends_with(['-', '=']) => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// One line whatever the formatter made of it.
fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (from, to) in [
        ("( ", "("),
        ("(mut self", "(self"),
        (" )", ")"),
        (",)", ")"),
        ("[ ", "["),
        (" ,", ","),
        ("{ ", "{"),
        (" }", "}"),
        (",}", "}"),
        (", >", ">"),
    ] {
        line = line.replace(from, to);
    }
    line.trim_end_matches(',').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_public_thing_has_a_line_and_nothing_else_does() {
        let files = [
            ("lib.rs", "pub mod base;\n#[doc(hidden)]\npub mod inner;\npub use base::{Name, Other};\n"),
            (
                "inner.rs",
                "pub struct Hidden;\npub struct Other;\nimpl Hidden { pub fn no() {} }\nimpl Other { pub fn yes() {} }",
            ),
            ("base/mod.rs", "mod name;\npub use self::name::Name;\npub(crate) use self::name::secret;"),
            (
                "base/name.rs",
                "use x::Y;\n\
                 impl<T: A<B>> Name<T> {\n\
                 /// Doc.\n#[must_use]\npub const fn new(\n    text: &str,\n    more: impl Fn(T) -> u8,\n) -> Name<T>\nwhere\n    T: Copy,\n{ x }\n\
                 pub const MAX: usize = 1;\nfn secret(&self) {}\npub(crate) fn half(&self) {}\n}\n\
                 #[derive(Clone, Debug)]\n#[non_exhaustive]\npub struct Name<T> { pub text: Vec<T>, hidden: u8 }\n\
                 pub struct Pair<S = ()>(pub u8, u8);\n\
                 impl fmt::Display for Name<u8> { fn fmt(&self) {} }\n\
                 struct Secret;\nimpl fmt::Display for Secret { fn fmt(&self) {} }\n\
                 impl Run for Secret { fn must(&self) {} }\n\
                 pub enum Kind { #[x] A, B(u8, u8), C { d: u8 } }\n\
                 pub trait Run: Send { type Out; fn must(&self); fn may(&self) { } }\n\
                 impl<R: Run> Run for Box<R> { fn must(&self) {} }\n\
                 pin_project! { pub struct Wait { #[pin] a: u8 } }\n\
                 macro_rules! no { () => { pub fn no() {} } }\n\
                 pub type Boxed = Box<dyn Run>;\n\
                 pub async fn go() {}\n\
                 #[cfg(test)]\nmod tests { pub fn no() {} }\n",
            ),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        let lines = public_items(&files).into_iter().collect::<Vec<_>>().join("\n");
        let expected = "\
*: use base::{Name, Other}
base::*: use self::name::Name
base::name::Boxed: type = Box<dyn Run>
base::name::Kind: enum
base::name::Kind::A: variant
base::name::Kind::B: variant(u8, u8)
base::name::Kind::C: variant {d: u8}
base::name::Name.text: Vec<T>
base::name::Name: impl fmt::Display
base::name::Name: struct<T>, derives Clone, Debug, non-exhaustive
base::name::Name::MAX: const: usize
base::name::Name::new: const fn(text: &str, more: impl Fn(T) -> u8) -> Name<T> where T: Copy
base::name::Pair.0: u8
base::name::Pair: struct<S = ()>
base::name::Run: impl<R: Run> for Box<R>
base::name::Run: trait: Send
base::name::Run::Out: type
base::name::Run::may: fn(&self), provided
base::name::Run::must: fn(&self)
base::name::Wait: struct
base::name::go: async fn()
inner::Other: struct
inner::Other::yes: fn()";
        assert_eq!(lines, expected, "\n{lines}");
    }
}
