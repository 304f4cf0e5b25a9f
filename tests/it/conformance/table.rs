//! Is each test that the table in `mod.rs` names there, and each test that is here in the table?

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance")
}

/// The names in the table: file and test.
fn named(table: &str) -> Vec<(String, String)> {
    let mut words = table.split('`').skip(1).step_by(2).filter_map(|word| word.split_once("::"));
    let is_name = |name: &str| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    let names = words.by_ref().filter(|(file, test)| is_name(file) && is_name(test));
    names.map(|(file, test)| (file.to_string(), test.to_string())).collect()
}

/// The tests in a file, if there is such a file.
fn tests_in(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let after = text.split("#[test]\nfn ").skip(1);
    after.filter_map(|rest| rest.split_once("()").map(|(name, _)| name.to_string())).collect()
}

#[test]
fn each_test_that_the_table_names_exists() {
    let table = fs::read_to_string(folder().join("mod.rs")).unwrap();
    let named = named(&table);
    assert!(named.len() > 50, "the table is found: {}", named.len());
    for (file, test) in named {
        let beside = tests_in(&folder().join(format!("{file}.rs")));
        let above = tests_in(&folder().join(format!("../{file}.rs")));
        assert!(beside.contains(&test) || above.contains(&test), "no {file}::{test}");
    }
}

#[test]
fn each_test_of_the_suite_is_in_the_table() {
    let table = fs::read_to_string(folder().join("mod.rs")).unwrap();
    let named = named(&table);
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| !path.ends_with("table.rs")) {
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        for test in tests_in(&path) {
            assert!(named.contains(&(file.clone(), test.clone())), "{file}::{test} is not in the table");
        }
    }
}
