//! Whoever drops a future finds out what that does.

use crate::layers::is_test_file;
use crate::tree::Violation;

/// The documentation of each public function that makes a future says what dropping it means.
pub(crate) fn undocumented_drops(path: &str, text: &str) -> Vec<Violation> {
    if !path.starts_with("src/") || !path.ends_with(".rs") || is_test_file(path) {
        return vec![];
    }
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let makers = (0..lines.len()).filter(|at| makes_a_future(&lines[*at..]));
    makers
        .filter(|at| !says_what_a_drop_does(&lines[..*at]))
        .map(|at| {
            let advice = "its documentation must say what dropping the future means: add `# Cancel safety`";
            Violation::new(at + 1, advice)
        })
        .collect()
}

fn makes_a_future(lines: &[&str]) -> bool {
    let Some(first) = lines.first() else { return false };
    let end = lines.iter().position(|line| line.ends_with(['{', ';'])).unwrap_or_default();
    first.starts_with("pub async fn ")
        || (first.starts_with("pub fn ") && lines[..=end].iter().any(|line| line.contains("-> impl Future")))
}

fn says_what_a_drop_does(before: &[&str]) -> bool {
    let above = before.iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
    ["# Cancel safety", "whether or not the"].iter().any(|said| above.clone().any(|line| line.contains(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_may_be_dropped_without_a_word_is_caught() {
        let text = "\
/// Waits.
pub async fn silent() {}
/// Waits.
/// # Cancel safety
/// Dropping it changes nothing.
#[inline]
pub async fn says() {}
/// Takes effect whether or not the future is awaited.
pub fn stop(&self) -> impl Future<Output = ()> {
}
pub fn long<T>(
    &self,
) -> impl Future<Output = ()> + Send {
}
/// Waits for nothing.
pub fn now() {
    other() // -> impl Future
}
async fn private() {}
";
        let lines = |path: &str| -> Vec<usize> {
            undocumented_drops(path, text).into_iter().map(|violation| violation.line).collect()
        };
        assert_eq!(lines("src/broker/x.rs"), [2, 11]);
        assert_eq!(lines("src/broker/tests.rs"), []);
        assert_eq!(lines("examples/x.rs"), []);
    }
}
