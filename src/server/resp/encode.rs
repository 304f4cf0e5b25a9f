//! The forms that replies have on the wire.

use super::number::{put_i64, put_u64};

/// Bytes of the longest header: its type, a number, `\r\n`.
const HEADER: usize = 1 + 20 + 2;

/// Adds a type and a length, or count: `*3\r\n`.
pub(super) fn header(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    put_u64(out, len as u64);
    end(out);
}

/// Adds a header where what it is of has already been written, from `at` on.
pub(super) fn header_at(out: &mut Vec<u8>, at: usize, kind: u8, len: usize) {
    let end = out.len();
    header(out, kind, len);
    let header = out.len() - end;
    if let Some(both) = out.get_mut(at..) {
        both.rotate_right(header);
    }
}

/// Adds `:42\r\n`.
pub(super) fn integer(out: &mut Vec<u8>, number: i64) {
    out.push(b':');
    put_i64(out, number);
    end(out);
}

/// Adds `$2\r\nhi\r\n`.
pub(super) fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len().saturating_add(HEADER + 2));
    header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    end(out);
}

/// Adds a type and a text that must not have an end of line in it.
pub(super) fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    end(out);
}

/// Makes one line of what was written from `at` on: no ends of line around it, and blanks for those in it.
///
/// Whoever could put one into an error's text, by a command's name for instance, could write replies of his own.
pub(super) fn flatten(out: &mut Vec<u8>, at: usize) {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    while out.len() > at && out.last().is_some_and(is_end) {
        out.pop();
    }
    let leading = out.iter().skip(at).take_while(|byte| is_end(byte)).count();
    out.drain(at..at + leading);
    out.iter_mut().skip(at).filter(|byte| is_end(byte)).for_each(|byte| *byte = b' ');
}

/// Adds what ends a line.
pub(super) fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}
