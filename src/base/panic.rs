//! Panics as values.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What a caught panic said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PanicText(pub(crate) Arc<str>);

impl PanicText {
    /// Reads the text out of a panic's payload, and drops the payload with care: its `Drop` may panic too.
    pub(crate) fn of(payload: Box<dyn Any + Send>) -> PanicText {
        let text = if let Some(text) = payload.downcast_ref::<&str>() {
            (*text).into()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.as_str().into()
        } else {
            "a panic whose payload is not a text".into()
        };
        if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
            // Why: a payload whose drop panics may hold another such payload. Leaking the second ends it.
            std::mem::forget(second);
        }
        PanicText(text)
    }
}

impl fmt::Display for PanicText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs `f` and turns a panic into its text.
///
/// Why `AssertUnwindSafe`: everything that user code can leave half-changed (its own state) is dropped and
/// rebuilt after a panic; callboard's own state is changed only outside of `f`.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, PanicText> {
    catch_unwind(AssertUnwindSafe(f)).map_err(PanicText::of)
}

/// Drops what users made, one after the other, so that one that panics takes no other with it. Answers the first
/// panic.
///
/// Why: two drops that panic in one sweep of a list end the process (G15).
pub(crate) fn drop_each<T>(made: impl IntoIterator<Item = T>) -> Result<(), PanicText> {
    made.into_iter().map(|one| catch(move || drop(one))).fold(Ok(()), Result::and)
}
