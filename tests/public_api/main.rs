//! Is the public shape of the crate what it was?
//!
//! `tests/public_api.txt` lists every public item, one line each; a change of it is a change that users see, and
//! belongs into the changelog. `shape` holds what no list shows: what can be sent, shared, cloned and boxed.
#![cfg(test)]

#[path = "../tidy/lexer.rs"]
mod lexer;
mod scan;
mod shape;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const LIST: &str = "tests/public_api.txt";

#[test]
fn the_public_items_are_those_of_the_list() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    read(&top.join("src"), "", &mut files);
    let now = scan::public_items(&files);
    assert!(now.len() > 20, "the scan found next to nothing");
    if std::env::var_os("CB_BLESS").is_some() {
        fs::write(top.join(LIST), now.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        return;
    }
    let list = fs::read_to_string(top.join(LIST)).unwrap_or_default();
    let then: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    let gone = then.difference(&now).map(|line| format!("\n  - {line}"));
    let new = now.difference(&then).map(|line| format!("\n  + {line}"));
    let changes: String = gone.chain(new).collect();
    assert!(
        changes.is_empty(),
        "the public items are not those of {LIST}:{changes}\n\
         If this is meant, say so in CHANGELOG.md and write the list: CB_BLESS=1 cargo test --test public_api\n"
    );
}

fn read(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            read(&entry.path(), &format!("{path}/"), files);
        } else if path.ends_with(".rs") && !is_for_tests(&path) {
            files.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

fn is_for_tests(path: &str) -> bool {
    path.starts_with("bin/") || path.ends_with("tests.rs") || path.contains("/tests/")
}
