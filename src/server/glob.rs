//! Patterns of channels and keys, as Redis reads them. Pure.
//!
//! | in a pattern | stands for |
//! |---|---|
//! | `*` | any bytes, or none |
//! | `?` | one byte |
//! | `[abc]`, `[a-c]`, `[^a]` | one of these, or none of them |
//! | `\x` | `x` itself |
//!
//! A star is tried again at the next place only if what follows does not fit, and only the last star is: so the work is at
//! most the product of the two lengths, whatever the pattern, where a matcher that calls itself takes exponential time.

/// Whether all of `text` is what `pattern` stands for.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, text);
    // Behind the last star, and where the text may go on behind what it stands for.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', behind)) = rest.split_first() {
            rest = behind;
            star = Some((behind, left));
            continue;
        }
        match (rest.is_empty(), left.split_first()) {
            (true, None) => return true,
            (false, Some((byte, next))) => {
                if let (true, behind) = one(rest, *byte) {
                    (rest, left) = (behind, next);
                    continue;
                }
            }
            _ => {}
        }
        let Some((behind, from)) = star else { return false };
        let Some((_, next)) = from.split_first() else { return false };
        star = Some((behind, next));
        (rest, left) = (behind, next);
    }
}

/// Whether the first part of a pattern, which is no star, stands for a byte; and what follows that part.
fn one(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    match pattern {
        [b'?', rest @ ..] => (true, rest),
        [b'[', rest @ ..] => class(rest, byte),
        [b'\\', escaped, rest @ ..] => (*escaped == byte, rest),
        [other, rest @ ..] => (*other == byte, rest),
        [] => (false, pattern),
    }
}

/// Whether a byte is in the class that begins here, and what follows it. One that is not closed ends with the pattern.
fn class(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    let (without, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => return (found != without, rest),
            [b']', behind @ ..] => return (found != without, behind),
            [b'\\', escaped, behind @ ..] => {
                found |= *escaped == byte;
                behind
            }
            [from, b'-', to, behind @ ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                behind
            }
            [other, behind @ ..] => {
                found |= *other == byte;
                behind
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_stand_for_what_redis_says() {
        let table: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("foo.*", "foo.1", true),
            ("foo.*", "foo1", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hallo", true),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("[abc", "b", true),
            ("[\\]]", "]", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("**", "x", true),
            ("*?", "", false),
            ("[]a", "a", false),
        ];
        for (pattern, text, wanted) in table {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), *wanted, "{pattern} of {text}");
        }
    }

    /// What a matcher that calls itself at each star would need the age of the world for.
    #[test]
    fn no_pattern_takes_long() {
        let (pattern, text) = ("a*".repeat(500) + "b", "a".repeat(20_000));
        assert!(!matches(pattern.as_bytes(), text.as_bytes()));
    }

    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| naive(rest, &text[at..])),
            (_, []) => false,
            (_, [byte, left @ ..]) => {
                let (fits, rest) = one(pattern, *byte);
                fits && naive(rest, left)
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_matcher_that_tries_everything(
            pattern in "[ab*?\\[\\]^\\\\-]{0,8}", text in "[ab\\]-]{0,8}",
        ) {
            prop_assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
