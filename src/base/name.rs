//! Names of actors, topics, groups and consumers.

use std::borrow::Borrow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Names an actor, topic, group or consumer: 1 to 255 bytes, no white space, and nothing that can't be printed, such as
/// control characters, marks of writing direction or joiners.
///
/// Cloning shares the text. Parsed once at the door ([`Name::new`]), so that no inner layer checks it again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule was broken; it carries the text, shortened for display.
    pub fn new(text: &str) -> Result<Name, InvalidName> {
        let rule = if text.is_empty() {
            "is empty"
        } else if text.len() > Name::MAX_BYTES {
            "is longer than 255 bytes"
        } else if text.chars().any(char::is_whitespace) {
            "has white space"
        } else if text.chars().any(|c| !is_printable(c)) {
            "has a character that can't be printed"
        } else {
            return Ok(Name(text.into()));
        };
        Err(InvalidName { text: text.chars().take(40).collect(), rule })
    }

    /// Makes the name `<word>-<number>`, for what was given none. `word` is one of ours and keeps the rules.
    pub(crate) fn numbered(word: &'static str, number: u64) -> Name {
        Name(format!("{word}-{number}").into())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why by `escape_debug`: it is what the standard library knows of printing. It escapes quotes too, which are fine here.
/// Why behind a letter: so it leaves marks alone that belong to one.
fn is_printable(c: char) -> bool {
    c.is_ascii_graphic() || format!("x{c}").escape_debug().eq(['x', c])
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Says that a text can't be a [`Name`], and which rule it breaks. Nothing was created: choose another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName {
    text: String,
    rule: &'static str,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name {:?} {}", self.text, self.rule)
    }
}

impl Error for InvalidName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_shown_on_one_line_is_refused() {
        let unseen = ["a\u{200b}", "\u{feff}a", "a\u{202e}b", "a\u{ad}b", "a\u{200d}b", "\u{e000}"];
        for bad in ["", "a b", "a\nb", "a\0b", "\u{a0}", &"x".repeat(256)].into_iter().chain(unseen) {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        for good in [
            "a",
            "orders.billing.dead",
            "größe",
            "gro\u{308}ße",
            "名前",
            "😀",
            "it's",
            "a\"\\b",
            "../x",
            &"x".repeat(255),
        ] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
    }
}
