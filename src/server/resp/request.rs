//! A request: a command's name and arguments, in one piece of memory.

use std::fmt;
use std::slice;

/// Memory of bytes that is worth keeping for the next request. Every idle connection may hold it.
const KEEP_BYTES: usize = 8 * 1024;
/// The same of arguments.
const KEEP_ARGS: usize = 256;
/// How many arguments there is room for at first. What is announced beyond them is not believed until it comes.
const FIRST_ARGS: usize = 16;
/// The least, and the most, that bytes are given more room at a time, beyond an eighth of what there is.
const STEP: (usize, usize) = (64, 4096);

/// What a client asks for. Owned, so that it can wait in a transaction or be handed on; [`Decoder::recycle`] takes
/// its memory back.
///
/// Debug shows lengths and no contents: these may be passwords, or what messages say.
///
/// [`Decoder::recycle`]: super::Decoder::recycle
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// The arguments, one behind the other.
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Request {
    /// Of a command's name and its arguments.
    pub(crate) fn of<'a>(args: impl IntoIterator<Item = &'a [u8]>) -> Request {
        let mut request = Request::default();
        for arg in args {
            request.bytes.extend_from_slice(arg);
            request.end_arg();
        }
        request
    }

    /// Returns how many arguments there are, the command's name among them. Never 0 in what a decoder gives.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns one argument; the command's name is number 0.
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)?,
        };
        self.bytes.get(start..end)
    }

    /// Returns the command's name, as it was written.
    pub(crate) fn name(&self) -> &[u8] {
        self.get(0).unwrap_or_default()
    }

    /// Returns all arguments in turn, the command's name first.
    pub(crate) fn args(&self) -> Args<'_> {
        Args { bytes: &self.bytes, start: 0, ends: self.ends.iter() }
    }

    /// Returns how many bytes of memory it holds.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Makes room for arguments to come, but not for more than is cheap.
    pub(super) fn expect_args(&mut self, count: usize) {
        if self.ends.capacity() == 0 {
            self.ends.reserve_exact(count.min(FIRST_ARGS));
        }
    }

    /// Adds bytes to the argument that is being read. `more`: how many are known to come yet, `at_hand` of them at once.
    /// Returns how many bytes were copied, those included that had to move for it.
    ///
    /// Why not as `Vec` grows, to the double: half of it would stand empty behind a large value. Why not by steps of one
    /// size: each moves what there is, and their number grows with it. An eighth moves every byte eight times at worst.
    pub(super) fn push(&mut self, bytes: &[u8], more: Expected) -> usize {
        let (len, free) = (self.bytes.len(), self.bytes.capacity() - self.bytes.len());
        let mut copied = bytes.len();
        if bytes.len() > free {
            let step = (len / 8).max(more.at_hand.clamp(STEP.0, STEP.1));
            let room = if more.last { step.min(bytes.len() + more.left) } else { step };
            self.bytes.reserve_exact(room.max(bytes.len()));
            copied += len;
        }
        self.bytes.extend_from_slice(bytes);
        copied
    }

    /// Ends the argument that is being read.
    pub(super) fn end_arg(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// Returns how many bytes have come, of arguments that have ended and of the one that is being read.
    pub(super) fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the bytes out, which are of no argument yet.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Whether its memory is little enough to be kept though nothing needs it now.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.bytes.capacity() <= KEEP_BYTES && self.ends.capacity() <= KEEP_ARGS
    }
}

/// What is known of the bytes behind those that are added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// So many of the same argument are yet to come.
    pub(super) left: usize,
    /// So many, of whatever, have arrived.
    pub(super) at_hand: usize,
    /// No argument comes behind this one.
    pub(super) last: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("args", &self.len()).field("bytes", &self.bytes.len()).finish()
    }
}

/// The arguments of a request in turn.
#[derive(Clone, Debug)]
pub(crate) struct Args<'a> {
    bytes: &'a [u8],
    start: usize,
    ends: slice::Iter<'a, usize>,
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = *self.ends.next()?;
        let start = std::mem::replace(&mut self.start, end);
        self.bytes.get(start..end)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}

impl ExactSizeIterator for Args<'_> {}
