//! The request decoder: a machine that takes bytes as they come.
//!
//! | state | takes | goes to |
//! |---|---|---|
//! | `Start` | `*` | `Count` |
//! | | anything else | `Inline`, which takes it again |
//! | `Inline` | a line | `Start`, with a request if the line has words |
//! | `Count` | a line | `Dollar`; `Start` if the number is 0 or less |
//! | `Dollar` | `$` | `Length` |
//! | `Length` | a line | `Bulk` |
//! | `Bulk` | as many bytes as were announced | `End` |
//! | `End` | `\r\n` | `Dollar`; `Start`, with a request, behind the last argument |
//! | any | what does not fit | `Failed`, for ever |

use std::mem;

use super::error::ProtocolError;
use super::inline;
use super::limits::{ENTRY, GUEST_ARGS, GUEST_BULK, LINE, Limits};
use super::number::{MOST_DIGITS, parse_i64};
use super::request::{Expected, Request};

/// Takes what a client sends, in whatever pieces, and gives the requests in it.
///
/// Each byte is taken once, so the work is that of the bytes and not of the pieces. It begins with a client that has not
/// authenticated.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: Limits,
    authenticated: bool,
    state: State,
    /// What has come of the request that is being read; in `Inline`, the line.
    request: Request,
    /// Arguments of it that are yet to come, the one that is being read included.
    args: usize,
    /// What has come of a header's line, in `Count` and `Length`.
    line: Line,
    /// What it counts against [`Limits::request`].
    sum: usize,
    /// Bytes that were looked at or copied, for the tests that bound it.
    #[cfg(test)]
    work: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    Inline,
    Count,
    Dollar,
    Length,
    Bulk { left: usize },
    End { carriage_return: bool },
    Failed(ProtocolError),
}

impl Decoder {
    /// Makes one for a new connection.
    pub(crate) fn new(limits: Limits) -> Decoder {
        Decoder {
            limits,
            authenticated: false,
            state: State::Start,
            request: Request::default(),
            args: 0,
            line: Line::default(),
            sum: 0,
            #[cfg(test)]
            work: 0,
        }
    }

    /// Says whether the client has authenticated, or need not: whether it has more than a guest's limits.
    pub(crate) fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }

    /// Changes the limits for what is announced from now on.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes bytes from the front of `input` up to the end of the next request. `None`: all were taken, and it has not
    /// ended. What asks for nothing, such as an empty line, is skipped.
    ///
    /// # Errors
    /// What the client sends is not in the protocol, or above a limit. Requests before it were given. The same error is
    /// returned from then on, and nothing is taken.
    pub(crate) fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Request>, ProtocolError> {
        let decoded = self.run(input);
        if let Err(error) = decoded {
            self.state = State::Failed(error);
            self.request = Request::default();
        }
        decoded
    }

    /// Takes the memory of a request that is done with for the next one, if it is not much and none is being read.
    pub(crate) fn recycle(&mut self, mut request: Request) {
        if matches!(self.state, State::Start) && request.is_worth_keeping() {
            request.clear();
            self.request = request;
        }
    }

    /// Whether nothing of a next request has come: the client may go now, and nothing is lost.
    pub(crate) fn is_between_requests(&self) -> bool {
        matches!(self.state, State::Start)
    }

    /// Returns how many bytes of memory it holds.
    pub(crate) fn memory(&self) -> usize {
        self.request.memory()
    }

    #[cfg(test)]
    pub(super) fn work(&self) -> usize {
        self.work
    }

    fn run(&mut self, input: &mut &[u8]) -> Result<Option<Request>, ProtocolError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        while let Some(first) = input.first() {
            let whole = match self.state {
                State::Start => self.start(*first, input),
                State::Inline => self.inline(input)?,
                State::Count => self.count(input)?,
                State::Dollar => self.dollar(*first, input)?,
                State::Length => self.length(input)?,
                State::Bulk { left } => self.bulk(left, input),
                State::End { carriage_return } => self.end(carriage_return, input)?,
                State::Failed(error) => return Err(error),
            };
            if whole {
                self.state = State::Start;
                return Ok(Some(mem::take(&mut self.request)));
            }
        }
        Ok(None)
    }

    // Each of these says whether a request is whole. It takes a byte, or goes to a state that does.

    fn start(&mut self, first: u8, input: &mut &[u8]) -> bool {
        self.state = State::Inline;
        if first == b'*' {
            take(input, 1);
            self.line = Line::default();
            self.state = State::Count;
        }
        false
    }

    fn inline(&mut self, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let part = take(input, end.unwrap_or(input.len()));
        self.worked(part.len());
        let before = self.request.bytes_len();
        if before + part.len() > LINE {
            return Err(ProtocolError::TooBigInline);
        }
        if end.is_none() || before > 0 {
            let copied = self.request.push(part, Expected { left: 0, at_hand: part.len(), last: false });
            self.worked(copied);
        }
        if end.is_none() {
            return Ok(false);
        }
        take(input, 1);
        self.state = State::Start;
        let kept = if before > 0 { Some(self.request.take_bytes()) } else { None };
        let line = kept.as_deref().unwrap_or(part);
        self.worked(line.len());
        inline::split(line, &mut self.request)?;
        Ok(self.request.len() > 0)
    }

    fn count(&mut self, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        if !self.line(input, ProtocolError::TooBigCount, ProtocolError::InvalidCount)? {
            return Ok(false);
        }
        let number = self.line.number().ok_or(ProtocolError::InvalidCount)?;
        self.state = State::Start;
        if number <= 0 {
            return Ok(false);
        }
        let count = usize::try_from(number).unwrap_or(usize::MAX);
        if count > self.limits.args {
            return Err(ProtocolError::InvalidCount);
        }
        if count > GUEST_ARGS && !self.authenticated {
            return Err(ProtocolError::GuestCount);
        }
        self.sum = 0;
        self.count_in(count.saturating_mul(ENTRY))?;
        self.request.expect_args(count);
        self.args = count;
        self.state = State::Dollar;
        Ok(false)
    }

    fn dollar(&mut self, first: u8, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        if first != b'$' {
            return Err(ProtocolError::ExpectedBulk(first));
        }
        take(input, 1);
        self.line = Line::default();
        self.state = State::Length;
        Ok(false)
    }

    fn length(&mut self, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        if !self.line(input, ProtocolError::TooBigLength, ProtocolError::InvalidLength)? {
            return Ok(false);
        }
        let length = self.line.number().and_then(|number| usize::try_from(number).ok());
        let length =
            length.filter(|length| *length <= self.limits.bulk).ok_or(ProtocolError::InvalidLength)?;
        if length > GUEST_BULK && !self.authenticated {
            return Err(ProtocolError::GuestLength);
        }
        self.count_in(length)?;
        self.state = State::Bulk { left: length };
        Ok(false)
    }

    fn bulk(&mut self, left: usize, input: &mut &[u8]) -> bool {
        let at_hand = input.len();
        let part = take(input, left.min(at_hand));
        let left = left - part.len();
        let copied = self.request.push(part, Expected { left, at_hand, last: self.args == 1 });
        self.worked(copied);
        self.state = if left == 0 { State::End { carriage_return: false } } else { State::Bulk { left } };
        false
    }

    fn end(&mut self, mut carriage_return: bool, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        if !carriage_return {
            carriage_return = take(input, 1) == b"\r";
            if !carriage_return {
                return Err(ProtocolError::InvalidLength);
            }
        }
        if input.is_empty() {
            self.state = State::End { carriage_return };
            return Ok(false);
        }
        if take(input, 1) != b"\n" {
            return Err(ProtocolError::InvalidLength);
        }
        self.request.end_arg();
        self.args = self.args.saturating_sub(1);
        self.state = State::Dollar;
        Ok(self.args == 0)
    }

    /// Takes what there is of a header's line, and says whether it has ended.
    fn line(
        &mut self,
        input: &mut &[u8],
        too_big: ProtocolError,
        invalid: ProtocolError,
    ) -> Result<bool, ProtocolError> {
        if !self.line.carriage_return {
            let end = input.iter().position(|byte| *byte == b'\r');
            let part = take(input, end.unwrap_or(input.len()));
            self.worked(part.len());
            self.line.push(part);
            // Why less than that by one: the `*` or `$` in front counts.
            if self.line.len >= LINE {
                return Err(too_big);
            }
            if end.is_none() {
                return Ok(false);
            }
            take(input, 1);
            self.line.carriage_return = true;
        }
        match take(input, 1) {
            [] => Ok(false),
            b"\n" => Ok(true),
            _ => Err(invalid),
        }
    }

    /// Counts bytes that are announced against the limit of the whole.
    fn count_in(&mut self, bytes: usize) -> Result<(), ProtocolError> {
        self.sum = self.sum.saturating_add(bytes);
        if self.sum > self.limits.request {
            return Err(ProtocolError::TooBigRequest);
        }
        Ok(())
    }

    fn worked(&mut self, bytes: usize) {
        #[cfg(test)]
        {
            self.work += bytes;
        }
        #[cfg(not(test))]
        let _ = bytes;
    }
}

/// A header's line, of which no more is kept than a number can have.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    text: [u8; MOST_DIGITS],
    len: usize,
    carriage_return: bool,
}

impl Line {
    fn push(&mut self, part: &[u8]) {
        let room = self.text.get_mut(self.len..).unwrap_or_default();
        room.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        self.len = self.len.saturating_add(part.len());
    }

    /// The number that it is; `None` if it is none, as is one that was too long to be kept.
    fn number(&self) -> Option<i64> {
        parse_i64(self.text.get(..self.len)?)
    }
}

/// Takes bytes from the front, or as many as there are.
fn take<'a>(input: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (part, rest) = input.split_at_checked(len).unwrap_or((*input, &[]));
    *input = rest;
    part
}
