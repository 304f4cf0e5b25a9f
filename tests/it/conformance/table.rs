//! Is each test that the table in `mod.rs` names there, does it run where the table says, and is each test that is here
//! in the table?

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance")
}

/// A test that the table names, and what it says in brackets behind it: where that runs, if not everywhere.
struct Named {
    file: String,
    test: String,
    only_on: Option<String>,
}

fn named(table: &str) -> Vec<Named> {
    let is_name = |name: &str| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    let table = table.replace("\n//!", " ");
    let quoted: Vec<&str> = table.split('`').collect();
    let pairs = quoted.get(1..).unwrap().chunks_exact(2);
    let read = |pair: &[&str]| {
        let [quoted, behind] = pair else { return None };
        let (file, test) = quoted.split_once("::").filter(|(file, test)| is_name(file) && is_name(test))?;
        let brackets = behind.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let only_on = brackets.map(|(only_on, _)| only_on.to_string());
        Some(Named { file: file.to_string(), test: test.to_string(), only_on })
    };
    pairs.filter_map(read).collect()
}

/// The tests in a file, if there is such a file, each with its text.
fn tests_in(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let after = text.split("#[test]\nfn ").skip(1);
    let read = |rest: &str| {
        let (name, body) = rest.split_once("()")?;
        let (body, _) = body.split_once("\n}\n")?;
        Some((name.to_string(), body.to_string()))
    };
    after.filter_map(read).collect()
}

fn table() -> Vec<Named> {
    let named = named(&fs::read_to_string(folder().join("mod.rs")).unwrap());
    assert!(named.len() > 100, "the table is found: {}", named.len());
    named
}

#[test]
fn each_test_that_the_table_names_exists_and_runs_where_it_says() {
    for Named { file, test, only_on } in table() {
        let places = [folder().join(format!("{file}.rs")), folder().join(format!("../{file}.rs"))];
        let tests = places.iter().flat_map(|place| tests_in(place));
        let (_, body) =
            tests.into_iter().find(|(name, _)| *name == test).unwrap_or_else(|| panic!("no {file}::{test}"));
        let everywhere = ["every::runtime(", "every::memory_and_disk("].iter().any(|run| body.contains(run));
        assert_eq!(everywhere, only_on.is_none(), "{file}::{test}: the table says {only_on:?}");
        if only_on.as_deref() == Some("seeds") {
            assert!(body.contains("every::seed("), "{file}::{test} runs under no seeds");
        }
    }
}

#[test]
fn each_test_of_the_suite_is_in_the_table() {
    let table = table();
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| !path.ends_with("table.rs")) {
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        for (test, _) in tests_in(&path) {
            let listed = table.iter().any(|named| named.file == file && named.test == test);
            assert!(listed, "{file}::{test} is not in the table");
        }
    }
}
