//! Ids of entries, as clients write them.

use std::fmt;

/// Names an entry: milliseconds and a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::server) struct Id {
    pub(in crate::server) millis: u64,
    pub(in crate::server) seq: u64,
}

/// The id of an entry that is to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum GivenId {
    /// By the clock.
    Auto,
    /// The next one of these milliseconds.
    Millis(u64),
    Whole(Id),
}

impl Id {
    /// Of no entry: below all.
    pub(in crate::server) const ZERO: Id = Id { millis: 0, seq: 0 };
    pub(in crate::server) const MAX: Id = Id { millis: u64::MAX, seq: u64::MAX };

    pub(in crate::server) fn next(self) -> Option<Id> {
        match (self.millis, self.seq.checked_add(1)) {
            (millis, Some(seq)) => Some(Id { millis, seq }),
            (millis, None) => Some(Id { millis: millis.checked_add(1)?, seq: 0 }),
        }
    }

    pub(in crate::server) fn before(self) -> Option<Id> {
        match (self.millis, self.seq.checked_sub(1)) {
            (millis, Some(seq)) => Some(Id { millis, seq }),
            (millis, None) => Some(Id { millis: millis.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Reads `millis-seq`, or milliseconds alone, with this sequence then.
    pub(in crate::server) fn parse(text: &[u8], seq: u64) -> Option<Id> {
        match text.iter().position(|byte| *byte == b'-') {
            None => Some(Id { millis: number(text)?, seq }),
            Some(dash) => {
                Some(Id { millis: number(text.get(..dash)?)?, seq: number(text.get(dash + 1..)?)? })
            }
        }
    }

    /// As [`Id::parse`], or `-` or `+` for the ends of all there is.
    pub(in crate::server) fn parse_bound(text: &[u8], seq: u64) -> Option<Id> {
        match text {
            b"-" => Some(Id::ZERO),
            b"+" => Some(Id::MAX),
            text => Id::parse(text, seq),
        }
    }
}

impl GivenId {
    /// Reads what `XADD` takes.
    pub(in crate::server) fn parse(text: &[u8]) -> Option<GivenId> {
        match text {
            b"*" => Some(GivenId::Auto),
            [millis @ .., b'-', b'*'] => number(millis).map(GivenId::Millis),
            text => Id::parse(text, 0).map(GivenId::Whole),
        }
    }
}

/// Why an interval is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum NoInterval {
    Id,
    Start,
    End,
}

/// From one id to another one, both in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Interval {
    pub(in crate::server) from: Id,
    pub(in crate::server) to: Id,
}

impl Interval {
    /// Reads its ends as clients write them: behind a `(` one that is not in it.
    pub(in crate::server) fn parse(from: &[u8], to: &[u8]) -> Result<Interval, NoInterval> {
        Ok(Interval { from: Interval::parse_from(from)?, to: Interval::parse_to(to)? })
    }

    pub(in crate::server) fn parse_from(text: &[u8]) -> Result<Id, NoInterval> {
        match text {
            [b'(', rest @ ..] if !rest.is_empty() => {
                Id::parse(rest, 0).ok_or(NoInterval::Id)?.next().ok_or(NoInterval::Start)
            }
            text => Id::parse_bound(text, 0).ok_or(NoInterval::Id),
        }
    }

    fn parse_to(text: &[u8]) -> Result<Id, NoInterval> {
        match text {
            [b'(', rest @ ..] if !rest.is_empty() => {
                Id::parse(rest, u64::MAX).ok_or(NoInterval::Id)?.before().ok_or(NoInterval::End)
            }
            text => Id::parse_bound(text, u64::MAX).ok_or(NoInterval::Id),
        }
    }
}

/// A number of 64 bits without a sign. Why zeros, and a `+`, in front: Redis takes them in ids.
fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(millis: u64, seq: u64) -> Id {
        Id { millis, seq }
    }

    #[test]
    fn ids_follow_each_other_to_the_last_one() {
        for (one, next) in [(id(0, 0), id(0, 1)), (id(3, u64::MAX), id(4, 0))] {
            assert_eq!((one.next(), next.before()), (Some(next), Some(one)));
        }
        assert_eq!((Id::MAX.next(), Id::ZERO.before()), (None, None));
    }

    #[test]
    fn what_clients_write_is_an_id_or_none() {
        assert_eq!(Id::parse(b"5-1", 9), Some(id(5, 1)));
        assert_eq!(Id::parse(b"5", 9), Some(id(5, 9)));
        for bad in ["", "-", "+", "5-", "-5", "5-1-1", " 5", "5 ", "x", "18446744073709551616", "5-*", "(5"] {
            assert_eq!(Id::parse(bad.as_bytes(), 0), None, "{bad:?}");
        }
        assert_eq!(GivenId::parse(b"*"), Some(GivenId::Auto));
        assert_eq!(GivenId::parse(b"7-*"), Some(GivenId::Millis(7)));
        assert_eq!(GivenId::parse(b"7"), Some(GivenId::Whole(id(7, 0))));
        assert_eq!(
            (GivenId::parse(b"-*"), GivenId::parse(b"*-*"), GivenId::parse(b"**")),
            (None, None, None)
        );
    }

    #[test]
    fn an_interval_has_its_ends_or_not() {
        let parse = |from: &str, to: &str| Interval::parse(from.as_bytes(), to.as_bytes());
        assert_eq!(parse("-", "+"), Ok(Interval { from: Id::ZERO, to: Id::MAX }));
        assert_eq!(parse("5", "5"), Ok(Interval { from: id(5, 0), to: id(5, u64::MAX) }));
        assert_eq!(parse("(5-1", "(6-0"), Ok(Interval { from: id(5, 2), to: id(5, u64::MAX) }));
        assert_eq!(parse("(18446744073709551615-18446744073709551615", "+"), Err(NoInterval::Start));
        assert_eq!(parse("-", "(0-0"), Err(NoInterval::End));
        for bad in ["(", "(-", "(+", "((5", "x"] {
            assert_eq!(parse(bad, "+"), Err(NoInterval::Id), "{bad}");
        }
    }
}
