//! Replies: what is sent to a client, in the version of the protocol that it speaks.
//!
//! | | RESP2 | RESP3 |
//! |---|---|---|
//! | null, null array | `$-1`, `*-1` | `_` |
//! | map of n | array of 2n | `%n` |
//! | set, push of n | array of n | `~n`, `>n` |
//! | boolean | `:1`, `:0` | `#t`, `#f` |
//! | double, big number, verbatim | bulk | `,1.5`, `(123`, `=7` and a type |

use std::fmt;
use std::io::Write;

use super::double;
use super::encode::{bulk, end, flatten, header, header_at, integer, line};

/// A version of the protocol. A connection begins with the first, and asks for another one by `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// What every client speaks.
    #[default]
    Resp2,
    /// With maps, nulls of one kind, and pushes that answer nothing.
    Resp3,
}

/// What holds replies in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// In order.
    Array,
    /// Keys and values in turn.
    Map,
    /// In no order, none twice.
    Set,
    /// What the client did not ask for.
    Push,
}

/// How a verbatim text is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbatim {
    /// As it is.
    Text,
    /// As Markdown.
    Markdown,
}

/// Adds replies to the end of a buffer.
///
/// Each call adds one reply. An aggregate says how many follow, and as many calls must (a map: twice as many); where that
/// is not known before, [`counted`](Replies::counted) writes it afterwards.
#[derive(Debug)]
pub(crate) struct Replies<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Replies<'a> {
    /// Writes to `out`, behind what is in it.
    pub(crate) fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Replies<'a> {
        Replies { out, protocol }
    }

    /// The same in another version: for what changes the version, and answers in the new one.
    pub(crate) fn speaking(&mut self, protocol: Protocol) -> Replies<'_> {
        Replies { out: self.out, protocol }
    }

    /// Returns the version that it writes: some commands answer with another shape in RESP3.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Adds `OK`.
    pub(crate) fn ok(&mut self) {
        line(self.out, b'+', b"OK");
    }

    /// Adds a status: a short text in one line.
    pub(crate) fn status(&mut self, text: &str) {
        self.out.push(b'+');
        let at = self.out.len();
        self.out.extend_from_slice(text.as_bytes());
        flatten(self.out, at);
        end(self.out);
    }

    /// Adds an error: a code in capitals, by which clients tell errors apart, and a text. It is made one line.
    pub(crate) fn error(&mut self, code: &str, text: impl fmt::Display) {
        self.out.push(b'-');
        let at = self.out.len();
        self.display(format_args!("{code} {text}"));
        flatten(self.out, at);
        end(self.out);
    }

    /// Adds a whole number.
    pub(crate) fn integer(&mut self, number: i64) {
        integer(self.out, number);
    }

    /// Adds bytes.
    pub(crate) fn bulk(&mut self, bytes: &[u8]) {
        bulk(self.out, bytes);
    }

    /// Adds the bytes of what can be shown, such as an id, without a string of its own.
    pub(crate) fn bulk_of(&mut self, shown: impl fmt::Display) {
        let at = self.out.len();
        self.display(shown);
        header_at(self.out, at, b'$', self.out.len() - at);
        end(self.out);
    }

    /// Adds a text that the client shows to a person as it is.
    pub(crate) fn verbatim(&mut self, kind: Verbatim, text: &[u8]) {
        if self.protocol == Protocol::Resp2 {
            return self.bulk(text);
        }
        let kind: &[u8; 4] = match kind {
            Verbatim::Text => b"txt:",
            Verbatim::Markdown => b"mkd:",
        };
        header(self.out, b'=', text.len().saturating_add(kind.len()));
        self.out.extend_from_slice(kind);
        self.out.extend_from_slice(text);
        end(self.out);
    }

    /// Adds that there is no value.
    pub(crate) fn null(&mut self) {
        self.by_protocol(b"$-1\r\n", b"_\r\n");
    }

    /// Adds that there is no array: the answer of a blocking read that waited in vain.
    pub(crate) fn null_array(&mut self) {
        self.by_protocol(b"*-1\r\n", b"_\r\n");
    }

    /// Adds yes or no.
    pub(crate) fn boolean(&mut self, yes: bool) {
        if yes { self.by_protocol(b":1\r\n", b"#t\r\n") } else { self.by_protocol(b":0\r\n", b"#f\r\n") }
    }

    /// Adds a number with a fraction.
    pub(crate) fn double(&mut self, number: f64) {
        self.number_text(b',', double::text(number).as_bytes());
    }

    /// Adds a whole number of any size. `digits` are digits, with a `-` before them or not.
    pub(crate) fn big_number(&mut self, digits: &str) {
        debug_assert!(digits.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()), "{digits:?}");
        self.number_text(b'(', digits.as_bytes());
    }

    /// Begins an array of `len` replies, which are the next ones.
    pub(crate) fn array(&mut self, len: usize) {
        self.begin(Aggregate::Array, len);
    }

    /// Begins a map of `len` pairs: the next ones are a key, its value, a key, and so on.
    pub(crate) fn map(&mut self, len: usize) {
        self.begin(Aggregate::Map, len);
    }

    /// Begins an aggregate of `len` replies, or of `len` pairs if it is a map.
    pub(crate) fn begin(&mut self, kind: Aggregate, len: usize) {
        let (kind, len) = self.shape(kind, len);
        header(self.out, kind, len);
    }

    /// Adds an aggregate whose length is known only when it is written: `children` writes it, and returns how many
    /// replies, or pairs, it wrote.
    ///
    /// It costs a move of what was written, by the length of the header, at each level of these.
    pub(crate) fn counted(&mut self, kind: Aggregate, children: impl FnOnce(&mut Replies<'_>) -> usize) {
        let at = self.out.len();
        let len = children(self);
        let (kind, len) = self.shape(kind, len);
        header_at(self.out, at, kind, len);
    }

    /// Writes with `write`; if that fails, takes back all that it wrote, so that an error can be answered instead.
    ///
    /// # Errors
    /// Those of `write`.
    pub(crate) fn attempt<E>(
        &mut self,
        write: impl FnOnce(&mut Replies<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let at = self.out.len();
        let done = write(self);
        if done.is_err() {
            self.out.truncate(at);
        }
        done
    }

    /// Adds replies that were written before, in this version: what many clients get is written once.
    pub(crate) fn written(&mut self, replies: &[u8]) {
        self.out.extend_from_slice(replies);
    }

    /// How many bytes were written, those included that were there before.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written behind so many bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    fn shape(&self, kind: Aggregate, len: usize) -> (u8, usize) {
        match (self.protocol, kind) {
            (Protocol::Resp2, Aggregate::Map) => (b'*', len.saturating_mul(2)),
            (Protocol::Resp2, _) | (Protocol::Resp3, Aggregate::Array) => (b'*', len),
            (Protocol::Resp3, Aggregate::Map) => (b'%', len),
            (Protocol::Resp3, Aggregate::Set) => (b'~', len),
            (Protocol::Resp3, Aggregate::Push) => (b'>', len),
        }
    }

    fn number_text(&mut self, kind: u8, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => bulk(self.out, text),
            Protocol::Resp3 => line(self.out, kind, text),
        }
    }

    fn by_protocol(&mut self, two: &[u8], three: &[u8]) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => two,
            Protocol::Resp3 => three,
        });
    }

    /// Adds what is shown.
    fn display(&mut self, shown: impl fmt::Display) {
        // Why ignored: a Vec takes all bytes. What fails to show itself has shown as much as it can, which is sent.
        let _ = write!(self.out, "{shown}");
    }
}
