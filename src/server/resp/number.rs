//! Decimal numbers, in the one form that Redis takes and writes.

/// Bytes of the longest number, `-9223372036854775808`.
pub(super) const MOST_DIGITS: usize = 20;

/// Reads a number that has no `+`, no zeros in front, no blanks, and fits. `None`: it is none of those.
///
/// For commands' arguments too: what Redis refuses as "not an integer" is what is refused here.
pub(crate) fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut number = 0_i64;
    for digit in digits {
        let value = i64::from(digit.checked_sub(b'0').filter(|value| *value <= 9)?);
        // Why down: the lowest number has no positive counterpart.
        number = number.checked_mul(10)?.checked_sub(value)?;
    }
    if negative { Some(number) } else { number.checked_neg() }
}

/// Writes a number.
pub(super) fn put_i64(into: &mut Vec<u8>, number: i64) {
    if number < 0 {
        into.push(b'-');
    }
    put_u64(into, number.unsigned_abs());
}

/// Writes a number.
pub(super) fn put_u64(into: &mut Vec<u8>, mut number: u64) {
    let start = into.len();
    loop {
        into.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = into.get_mut(start..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_has_one_form() {
        let table: [(&str, Option<i64>); 22] = [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-1", Some(-1)),
            ("10", Some(10)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("18446744073709551617", None),
            ("99999999999999999999", None),
            ("111111111111111111111111111111111111111", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("01", None),
            ("-01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
            ("0x1", None),
            ("--1", None),
        ];
        for (text, number) in table {
            assert_eq!(parse_i64(text.as_bytes()), number, "{text:?}");
        }
        assert_eq!(parse_i64(b"1\0"), None);
        assert_eq!(parse_i64(&[0xff; 3]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: i64, bytes in proptest::collection::vec(any::<u8>(), 0..4)) {
            let mut out = Vec::new();
            put_i64(&mut out, number);
            prop_assert_eq!(&out, &number.to_string().into_bytes());
            prop_assert_eq!(parse_i64(&out), Some(number));
            let known = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse::<i64>().ok());
            let known = known.filter(|known| known.to_string().as_bytes() == bytes);
            prop_assert_eq!(parse_i64(&bytes), known);
        }
    }
}
