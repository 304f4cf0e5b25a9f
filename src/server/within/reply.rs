//! What a command answers, as a value.

use crate::server::resp::parse_i64;

/// Lists in lists are no deeper than this. None of ours are.
const DEPTH: usize = 32;

/// What the server answers to a [command](crate::server::Serving::command).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// A short text, such as `OK`.
    Status(String),
    /// A whole number.
    Number(i64),
    /// A value.
    Bytes(Vec<u8>),
    /// What was asked for is not there.
    Nothing,
    /// Several, in order. What is a map in the protocol's third version is keys and values in turn.
    List(Vec<Reply>),
    /// Of one of several commands: why it was refused.
    Error(String),
}

impl Reply {
    /// Reads all replies that were written, in the protocol's second version; and what `HELLO 3` is answered, which is a map. `None`: they
    /// are not whole.
    pub(super) fn read_all(mut bytes: &[u8]) -> Option<Vec<Reply>> {
        let mut replies = Vec::new();
        while !bytes.is_empty() {
            replies.push(Reply::read(&mut bytes, DEPTH)?);
        }
        Some(replies)
    }

    fn read(bytes: &mut &[u8], depth: usize) -> Option<Reply> {
        let kind = *take(bytes, 1)?.first()?;
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let line = take(bytes, end)?;
        take(bytes, 2)?;
        let text = || String::from_utf8_lossy(line).into_owned();
        let count = || parse_i64(line).map(|count| usize::try_from(count).ok());
        Some(match kind {
            b'+' => Reply::Status(text()),
            b'-' => Reply::Error(text()),
            b':' => Reply::Number(parse_i64(line)?),
            b'$' => match count()? {
                None => Reply::Nothing,
                Some(len) => {
                    let value = take(bytes, len)?.to_vec();
                    take(bytes, 2)?;
                    Reply::Bytes(value)
                }
            },
            b'*' | b'%' => match count()? {
                None => Reply::Nothing,
                Some(len) => {
                    let len = if kind == b'%' { len.checked_mul(2)? } else { len };
                    let depth = depth.checked_sub(1)?;
                    Reply::List((0..len).map(|_| Reply::read(bytes, depth)).collect::<Option<_>>()?)
                }
            },
            _ => return None,
        })
    }

    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Reply::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Reply]> {
        match self {
            Reply::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Reply::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::resp::{Protocol, Replies};

    #[test]
    fn what_the_server_writes_is_read() {
        let mut out = Vec::new();
        let mut replies = Replies::new(&mut out, Protocol::Resp2);
        replies.ok();
        replies.array(3);
        replies.bulk(b"a\r\nb");
        replies.integer(-5);
        replies.array(1);
        replies.null_array();
        replies.null();
        replies.error("ERR", "why\r\nnot");
        let mut replies = replies.speaking(Protocol::Resp3);
        replies.map(1);
        replies.bulk(b"proto");
        replies.integer(3);
        let list =
            vec![Reply::Bytes(b"a\r\nb".to_vec()), Reply::Number(-5), Reply::List(vec![Reply::Nothing])];
        let all = [
            Reply::Status("OK".into()),
            Reply::List(list),
            Reply::Nothing,
            Reply::Error("ERR why  not".into()),
            Reply::List(vec![Reply::Bytes(b"proto".to_vec()), Reply::Number(3)]),
        ];
        assert_eq!(Reply::read_all(&out).unwrap(), all);
        // Of a part of them, no more than is whole.
        for len in 0..out.len() {
            let whole = Reply::read_all(&out[..len]);
            assert!(whole.is_none_or(|read| all.starts_with(&read) && read.len() < all.len()), "{len}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for bad in ["x1\r\n", ":x\r\n", "$5\r\nab\r\n", "*2\r\n:1\r\n", &"*1\r\n".repeat(100)] {
            assert_eq!(Reply::read_all(bad.as_bytes()), None, "{bad}");
        }
    }
}
