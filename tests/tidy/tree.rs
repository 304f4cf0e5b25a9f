//! The tree's text files, read once, and the report of what is wrong in them.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// A text file of the project, by its path from the top.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// One broken rule: the line, from 1, and what to do.
#[derive(Debug, PartialEq)]
pub(crate) struct Violation {
    pub(crate) line: usize,
    pub(crate) advice: String,
}

impl Violation {
    pub(crate) fn new(line: usize, advice: impl Into<String>) -> Violation {
        Violation { line, advice: advice.into() }
    }
}

/// Every text file of the project.
pub(crate) fn files() -> &'static [File] {
    static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
        let mut files = Vec::new();
        read_folder(top(), "", &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the walk found no src/lib.rs");
        files
    });
    &FILES
}

pub(crate) fn exists(path: &str) -> bool {
    top().join(path).exists()
}

/// Runs `rule` over every file, and fails with all it found.
#[track_caller]
pub(crate) fn check(rule: impl Fn(&str, &str) -> Vec<Violation>) {
    let mut report = String::new();
    for File { path, text } in files() {
        for Violation { line, advice } in rule(path, text) {
            report += &format!("\n  {path}:{line}: {advice}");
        }
    }
    assert!(report.is_empty(), "{report}\n");
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Why a list of hidden names: what else starts with a dot belongs to other tools and is not tracked.
const HIDDEN: [&str; 7] =
    [".ci", ".cargo", ".config", ".clippy.toml", ".deny.toml", ".justfile", ".rustfmt.toml"];

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name == "target" || (name.starts_with('.') && !HIDDEN.contains(&name.as_str())) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            read_folder(&entry.path(), &format!("{path}/"), files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push(File { path, text });
        }
    }
}
