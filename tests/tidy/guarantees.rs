//! Every guarantee has a test that cites its number, or says that it is still to come.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::layers::is_test_file;
use crate::lexer::{code, test_parts, words};
use crate::tree::Violation;

pub(crate) const DOCUMENT: &str = "docs/guarantees.md";
const COUNT: usize = 25;

/// For each guarantee's number, the files whose tests cite it.
pub(crate) type Citations = BTreeMap<usize, BTreeSet<String>>;

/// Collects the numbers that the tests in one file cite: `G7` in a comment, `g7` in a name.
pub(crate) fn collect(path: &str, text: &str, citations: &mut Citations) {
    // Why: these test the tree, not the guarantees.
    if !path.ends_with(".rs") || path.starts_with("tests/tidy/") || path.starts_with("tests/public_api") {
        return;
    }
    if is_test_file(path) {
        cite(text, path, citations);
    } else if path.starts_with("src/") {
        // Why raw text at the offsets of code: the number may stand in a comment inside the test module.
        for part in test_parts(&code(text)) {
            cite(&text[part], path, citations);
        }
    }
}

/// Checks the document: all guarantees in order, each planned or cited by a test and by the files it names.
pub(crate) fn violations(path: &str, text: &str, citations: &Citations) -> Vec<Violation> {
    if path != DOCUMENT {
        return vec![];
    }
    let sections = sections(text);
    let numbers: Vec<usize> = sections.iter().map(|section| section.number).collect();
    if numbers != (1..=COUNT).collect::<Vec<_>>() {
        return vec![Violation::new(
            1,
            format!("state G1 to G{COUNT}, each once and in order, not {numbers:?}"),
        )];
    }
    let mut found = Vec::new();
    for Section { number, line, body } in sections {
        let mark = |mark: &str| body.iter().copied().find_map(|line| line.strip_prefix(mark));
        let cited = citations.get(&number).cloned().unwrap_or_default();
        let named = mark("Tests:").map(|line| line.split('`').skip(1).step_by(2).collect::<Vec<_>>());
        for file in named.iter().flatten().filter(|file| !cited.contains(**file)) {
            found.push(Violation::new(
                line,
                format!("no test in `{file}` cites G{number}: cite it there, or name another"),
            ));
        }
        let status = mark("Status:").map(str::trim).unwrap_or_default();
        let waits = status.starts_with("building") || status.starts_with("planned");
        if !waits && cited.is_empty() {
            found.push(Violation::new(
                line,
                format!("no test cites G{number}: write one, or say `Status: planned`"),
            ));
        } else if !waits && named.is_none_or(|named| named.is_empty()) {
            let files = cited.into_iter().collect::<Vec<_>>().join("`, `");
            found.push(Violation::new(
                line,
                format!("name the tests of G{number} in a line: Tests: `{files}`"),
            ));
        }
    }
    found
}

struct Section<'a> {
    number: usize,
    line: usize,
    body: Vec<&'a str>,
}

fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (content, line) in text.lines().zip(1..) {
        if let Some(number) =
            content.strip_prefix("### G").and_then(|rest| rest.split(' ').next()?.parse().ok())
        {
            sections.push(Section { number, line, body: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.body.push(content);
        }
    }
    sections
}

fn cite(text: &str, path: &str, citations: &mut Citations) {
    for (_, word) in words(text) {
        let whole = word.strip_prefix('G').into_iter();
        for number in whole.chain(word.split('_').filter_map(|part| part.strip_prefix('g'))) {
            if let Ok(number) = number.parse() {
                citations.entry(number).or_default().insert(path.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(section: &str) -> String {
        let plan = |number| format!("### G{number}\n**A promise.**\nStatus: planned: later\n");
        (1..=COUNT)
            .map(|number| if number == 7 { format!("### G7\n{section}\n") } else { plan(number) })
            .collect()
    }

    fn cited(files: &[(&str, &str)]) -> Citations {
        let mut citations = Citations::new();
        files.iter().for_each(|(path, text)| collect(path, text, &mut citations));
        citations
    }

    #[test]
    fn a_guarantee_without_a_test_is_caught() {
        let nothing =
            cited(&[("tests/it/a.rs", "// G17 and G_7, fn big7() {}"), ("src/a.rs", "// G7\nfn g7() {}")]);
        assert_eq!(violations(DOCUMENT, &document("Text."), &nothing).len(), 1);
        assert_eq!(violations(DOCUMENT, &document("Status: building"), &nothing), []);
        assert_eq!(violations(DOCUMENT, &document("Status: planned: log"), &nothing), []);
    }

    #[test]
    fn a_test_counts_by_comment_or_by_name_in_any_place_for_tests() {
        let named = document("Tests: `tests/it/a.rs`");
        assert_eq!(violations(DOCUMENT, &named, &cited(&[("tests/it/a.rs", "/// G7: one lease")])), []);
        assert_eq!(violations(DOCUMENT, &named, &cited(&[("tests/it/a.rs", "fn g7_one_lease() {}")])), []);
        let inline = [("src/a.rs", "#[cfg(test)]\nmod tests {\n// G7\n}")];
        assert_eq!(violations(DOCUMENT, &document("Tests: `src/a.rs`"), &cited(&inline)), []);
    }

    #[test]
    fn a_named_file_that_does_not_cite_the_guarantee_is_caught() {
        let citations = cited(&[("tests/it/a.rs", "// G7")]);
        assert_eq!(
            violations(DOCUMENT, &document("Tests: `tests/it/a.rs`, `tests/it/b.rs`"), &citations).len(),
            1
        );
        assert_eq!(violations(DOCUMENT, &document("No line."), &citations).len(), 1);
    }

    #[test]
    fn a_guarantee_that_is_missing_or_out_of_order_is_caught() {
        assert_eq!(violations(DOCUMENT, &document("").replace("### G9\n", ""), &Citations::new()).len(), 1);
        assert_eq!(violations(DOCUMENT, &document("### G3"), &Citations::new()).len(), 1);
    }
}
