//! The error a handler returns.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Carries whatever error a handler ran into, so that `?` works on any error type.
///
/// It is built from any `std::error::Error` by `?`, or from a text by [`Fault::new`]. Cloning shares the error.
/// Like `anyhow::Error` it does not implement `Error` itself: that is what lets `?` convert everything else.
///
/// # Examples
/// ```
/// use callboard::base::Fault;
///
/// fn parse(text: &str) -> Result<u32, Fault> {
///     if text.is_empty() {
///         return Err(Fault::new("nothing to parse"));
///     }
///     Ok(text.parse::<u32>()?)
/// }
/// assert_eq!(parse("").unwrap_err().to_string(), "nothing to parse");
/// assert!(parse("x").unwrap_err().source().is_some());
/// ```
#[derive(Clone)]
pub struct Fault(Cause);

#[derive(Clone)]
enum Cause {
    Text(Arc<str>),
    Error(Arc<dyn Error + Send + Sync>),
}

impl Fault {
    /// Makes a fault that says `text`.
    pub fn new(text: impl Into<String>) -> Fault {
        Fault(Cause::Text(text.into().into()))
    }

    /// Returns the error this fault was made from, or `None` if it was made from a text.
    pub fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &self.0 {
            Cause::Text(_) => None,
            Cause::Error(error) => Some(&**error),
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Fault {
    fn from(error: E) -> Fault {
        Fault(Cause::Error(Arc::new(error)))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Text(text) => f.write_str(text),
            Cause::Error(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Text(text) => write!(f, "Fault({text:?})"),
            Cause::Error(error) => write!(f, "Fault({error:?})"),
        }
    }
}
