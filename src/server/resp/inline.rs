//! Requests that a person types: words with blanks between them, in quotes where a word has blanks in it.
//!
//! | in | stands for |
//! |---|---|
//! | `"..."` | `\n \r \t \b \a` a control character, `\x41` a byte, `\` and another character: that one |
//! | `'...'` | `\'` a quote; any other `\` is one |
//! | no quotes | everything is itself; a quote begins in the middle of a word too |
//!
//! The `\r` that ends a line is a blank as others are.

use super::error::ProtocolError;
use super::request::{Expected, Request};

/// Adds the words of a line to a request that has none.
pub(super) fn split(line: &[u8], into: &mut Request) -> Result<(), ProtocolError> {
    let mut rest = skip_blanks(line);
    while !rest.is_empty() {
        rest = skip_blanks(word(rest, into)?);
        into.end_arg();
    }
    Ok(())
}

/// Adds the word that `rest` begins with, and returns what is behind it.
fn word<'a>(mut rest: &'a [u8], into: &mut Request) -> Result<&'a [u8], ProtocolError> {
    loop {
        match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(rest),
            [b'"', quoted @ ..] => return end_of_quotes(in_double(quoted, into)?),
            [b'\'', quoted @ ..] => return end_of_quotes(in_single(quoted, into)?),
            [byte, behind @ ..] => {
                add(into, *byte, behind);
                rest = behind;
            }
        }
    }
}

fn in_double<'a>(mut rest: &'a [u8], into: &mut Request) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, behind) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'"', behind @ ..] => return Ok(behind),
            [b'\\', b'x', high, low, behind @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), behind)
            }
            [b'\\', letter, behind @ ..] => (escaped(*letter), behind),
            [byte, behind @ ..] => (*byte, behind),
        };
        add(into, byte, behind);
        rest = behind;
    }
}

fn in_single<'a>(mut rest: &'a [u8], into: &mut Request) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, behind) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'\'', behind @ ..] => return Ok(behind),
            [b'\\', b'\'', behind @ ..] => (b'\'', behind),
            [byte, behind @ ..] => (*byte, behind),
        };
        add(into, byte, behind);
        rest = behind;
    }
}

/// A word ends with its quotes: `"a"b` is neither one word nor two.
fn end_of_quotes(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    match rest {
        [byte, ..] if !is_blank(*byte) => Err(ProtocolError::UnbalancedQuotes),
        rest => Ok(rest),
    }
}

fn add(into: &mut Request, byte: u8, behind: &[u8]) {
    into.push(&[byte], Expected { left: 0, at_hand: behind.len() + 1, last: false });
}

fn escaped(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase().wrapping_sub(b'a').wrapping_add(10),
    }
}

/// What C's `isspace` takes for one. Inside a word fewer are: a form feed is a letter there, as it is for Redis.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn skip_blanks(rest: &[u8]) -> &[u8] {
    let blanks = rest.iter().take_while(|byte| is_blank(**byte)).count();
    rest.get(blanks..).unwrap_or_default()
}
