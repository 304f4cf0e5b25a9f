//! Keyspace events: which changes of keys are told on channels. Pure.

use std::fmt;

/// Classes of events, as bits. None by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Events(u32);

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
    /// A key that was not there.
    New,
    Expired,
    Evicted,
}

/// Each class's letter, in the order in which Redis shows them, and whether `A` has it.
const LETTERS: [(char, bool); 14] = [
    ('g', true),
    ('$', true),
    ('l', true),
    ('s', true),
    ('h', true),
    ('z', true),
    ('x', true),
    ('e', true),
    ('t', true),
    ('d', true),
    ('K', false),
    ('E', false),
    ('m', false),
    ('n', false),
];

impl Class {
    fn letter(self) -> char {
        match self {
            Class::Generic => 'g',
            Class::String => '$',
            Class::List => 'l',
            Class::Set => 's',
            Class::SortedSet => 'z',
            Class::Hash => 'h',
            Class::Stream => 't',
            Class::New => 'n',
            Class::Expired => 'x',
            Class::Evicted => 'e',
        }
    }
}

impl Events {
    /// Reads letters; `None`: one is none of them.
    pub(super) fn parse(text: &str) -> Option<Events> {
        let mut events = Events(0);
        for letter in text.chars() {
            events.0 |= if letter == 'A' { all() } else { bit(letter)? };
        }
        Some(events)
    }

    /// Whether changes of this class are told, by the key's channel and by the event's.
    pub(super) fn of(self, class: Class) -> (bool, bool) {
        let wanted = bit(class.letter()).is_some_and(|bit| self.0 & bit != 0);
        let has = |letter| bit(letter).is_some_and(|bit| self.0 & bit != 0);
        (wanted && has('K'), wanted && has('E'))
    }
}

fn bit(letter: char) -> Option<u32> {
    LETTERS.iter().position(|(known, _)| *known == letter).map(|at| 1 << at)
}

fn all() -> u32 {
    LETTERS.iter().enumerate().filter(|(_, (_, in_all))| *in_all).map(|(at, _)| 1 << at).sum()
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 & all() == all();
        if whole {
            f.write_str("A")?;
        }
        for (at, (letter, in_all)) in LETTERS.iter().enumerate() {
            if self.0 & (1 << at) != 0 && !(whole && *in_all) {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_shown_as_redis_does() {
        let table =
            [("", ""), ("KA", "AK"), ("EA", "AE"), ("gKE", "gKE"), ("$lshzxeKE", "$lshzxeKE"), ("lK", "lK")];
        for (text, shown) in table {
            assert_eq!(Events::parse(text).unwrap().to_string(), shown);
        }
        assert_eq!(Events::parse("Q"), None);
    }

    #[test]
    fn a_class_is_told_where_it_was_asked_for() {
        let events = |text| Events::parse(text).unwrap();
        assert_eq!(events("KA").of(Class::Hash), (true, false));
        assert_eq!(events("Ex").of(Class::Expired), (false, true));
        assert_eq!(events("KEl").of(Class::String), (false, false));
        assert_eq!(events("l").of(Class::List), (false, false));
    }
}
