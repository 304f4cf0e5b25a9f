//! Documents point at files that exist, and every decision is listed.

use crate::tree::{File, Violation};

/// Finds relative links of a Markdown document to files that are not there.
pub(crate) fn broken(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    if !path.ends_with(".md") {
        return vec![];
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut fenced = false;
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(line) {
            let file = target.split(['#', '?']).next().unwrap_or_default();
            if !file.is_empty() && !resolve(folder, file).is_some_and(|file| exists(&file)) {
                found.push(Violation::new(
                    number,
                    format!("`{target}` is not there: mend the link, or add the file"),
                ));
            }
        }
    }
    found
}

/// Finds decisions that docs/decisions/README.md does not list.
pub(crate) fn unlisted(path: &str, text: &str, files: &[File]) -> Vec<Violation> {
    let Some(folder) = path.strip_suffix("README.md").filter(|folder| *folder == "docs/decisions/") else {
        return vec![];
    };
    files
        .iter()
        .filter_map(|file| file.path.strip_prefix(folder))
        .filter(|name| *name != "README.md" && !text.contains(&format!("({name})")))
        .map(|name| Violation::new(1, format!("`{name}` is not listed: add a line with a link to it")))
        .collect()
}

/// The targets of inline links and of link definitions, without those that leave the project.
fn targets(line: &str) -> Vec<&str> {
    let plain = without_code(line);
    let inline = plain.match_indices("](").map(|(at, open)| {
        let start = at + open.len();
        &line[start..start + line[start..].find([')', ' ']).unwrap_or(line.len() - start)]
    });
    let defined = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .map(|(_, target)| target.split(' ').next().unwrap_or_default());
    inline.chain(defined).filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// Blanks what stands between backticks, byte for byte; a link's text in backticks leaves its brackets.
fn without_code(line: &str) -> String {
    let mut code = false;
    let mut out = String::new();
    for c in line.chars() {
        code ^= c == '`';
        if code || !c.is_ascii() {
            out.extend(std::iter::repeat_n(' ', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

/// Follows `link` from `folder`; `None` if it leaves the project.
fn resolve(folder: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            "" => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_missing_file_is_caught() {
        let text = "[a](guarantees.md#g1), é [b](../src/lib.rs)\n[c](gone.md)\n[`d`](../gone/)\n`[e](gone.md)`\n\
                    ```\n[f](gone.md)\n```\n[g](https://example.org/gone) [h](#here)\n[i]: gone.md\n[j](../../x)";
        let there = |path: &str| ["docs/guarantees.md", "src/lib.rs"].contains(&path);
        let lines: Vec<usize> = broken("docs/x.md", text, there).iter().map(|found| found.line).collect();
        assert_eq!(lines, [2, 3, 9, 10]);
        assert_eq!(broken("src/x.rs", text, there), []);
    }

    #[test]
    fn a_decision_that_is_not_listed_is_caught() {
        let file = |path: &str| File { path: path.to_owned(), text: String::new() };
        let files =
            ["docs/decisions/README.md", "docs/decisions/0001-a.md", "docs/decisions/0002-b.md", "docs/x.md"]
                .map(file);
        assert_eq!(unlisted("docs/decisions/README.md", "[a](0001-a.md)", &files).len(), 1);
        assert_eq!(unlisted("docs/decisions/README.md", "[a](0001-a.md) [b](0002-b.md)", &files), []);
    }
}
