//! What a request may ask for.

/// How many arguments a client may send that has not said who it is.
pub(super) const GUEST_ARGS: usize = 10;
/// How long each of them may be.
pub(super) const GUEST_BULK: usize = 16 * 1024;
/// How long a line may be: an inline request, or the header of another one.
pub(super) const LINE: usize = 64 * 1024;
/// What an argument counts in the sum, besides its bytes: what the decoder notes of it.
pub(super) const ENTRY: usize = 2 * size_of::<usize>();

/// The limits of a request. Each is held against what is announced, before anything is allocated for it.
///
/// A line has 64 KiB at most. Before authentication a request has ten arguments of 16 KiB at most, whatever these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The most arguments, the command's name among them. Default: 1 Mi.
    pub(crate) args: usize,
    /// The most bytes of one argument. Default: 512 MiB, Redis's `proto-max-bulk-len`.
    pub(crate) bulk: usize,
    /// The most bytes of all arguments together, with 16 for each of them. Default: 1 GiB, Redis's
    /// `client-query-buffer-limit`. What one connection can make the server hold is this and an eighth.
    pub(crate) request: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { args: 1024 * 1024, bulk: 512 * 1024 * 1024, request: 1024 * 1024 * 1024 }
    }
}
