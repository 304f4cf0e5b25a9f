//! Rules on plain text: the length of files, marks for later, paths of a machine.

use crate::tree::Violation;

/// What a reader can hold in mind at once.
const MOST_LINES: usize = 450;

pub(crate) fn too_long(path: &str, text: &str) -> Vec<Violation> {
    let lines = text.lines().count();
    if path.ends_with(".rs") && lines > MOST_LINES {
        return vec![Violation::new(
            lines,
            format!("{lines} lines, {MOST_LINES} is the most: split the file by what a reader looks for"),
        )];
    }
    vec![]
}

/// A mark for later names the decision that says why it waits.
pub(crate) fn undecided(path: &str, text: &str) -> Vec<Violation> {
    // Why concat: these lines must not trip their own rule.
    const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
    if path.ends_with(".md") || path.ends_with(".lock") {
        return vec![];
    }
    each_line(text, |line| {
        let marked = crate::lexer::words(line)
            .any(|(offset, word)| MARKS.contains(&word) && !is_decision(&line[offset + word.len()..]));
        marked.then(|| format!("name the decision, `{}(0007)`, or do it now", MARKS[0]))
    })
}

/// No file knows where it was written.
pub(crate) fn machine_paths(_path: &str, text: &str) -> Vec<Violation> {
    // Why in parts: as in `undecided`.
    let folders = ["work", "home", "root", "tmp"].map(|folder| format!("/{folder}/"));
    each_line(text, |line| {
        let folder = folders.iter().find(|folder| {
            line.match_indices(folder.as_str()).any(|(offset, _)| {
                !line[..offset].ends_with(|c: char| c.is_alphanumeric() || "._-/*}".contains(c))
            })
        })?;
        Some(format!(
            "`{folder}` is a path of one machine: say it relative to the project, or ask for a temporary one"
        ))
    })
}

fn is_decision(rest: &str) -> bool {
    let number =
        rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or("", |(number, _)| number);
    number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn each_line(text: &str, rule: impl Fn(&str) -> Option<String>) -> Vec<Violation> {
    text.lines().zip(1..).filter_map(|(line, number)| Some(Violation::new(number, rule(line)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(found: Vec<Violation>) -> Vec<usize> {
        found.into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_file_over_the_limit_is_caught() {
        assert_eq!(too_long("src/x.rs", &"\n".repeat(MOST_LINES)), []);
        assert_eq!(too_long("src/x.rs", &"\n".repeat(MOST_LINES + 1)).len(), 1);
        assert_eq!(too_long("Cargo.lock", &"\n".repeat(MOST_LINES + 1)), []);
    }

    #[test]
    fn a_mark_for_later_without_a_decision_is_caught() {
        let text = "// TX: a\n// TX(0007): b\n// TX(me): c\n// FX\nTXT".replace("TX", concat!("TO", "DO"));
        let text = text.replace("FX", concat!("FIX", "ME"));
        assert_eq!(lines(undecided("src/x.rs", &text)), [1, 3, 4]);
    }

    #[test]
    fn a_path_of_one_machine_is_caught() {
        let text =
            "a \"/W/x\"\n`/W/`\nsrc/W/x\n/working/x\nhttps://example.org/W/x\n$dir/W/y".replace('W', "work");
        assert_eq!(lines(machine_paths("README.md", &text)), [1, 2]);
    }
}
