//! The error a handler or a codec returns.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::catch;

/// Carries whatever error a handler or a codec ran into, so that `?` works on any error type.
///
/// It is built from any `std::error::Error` by `?`, or from a text by [`Fault::new`]. Cloning shares the error.
/// Like `anyhow::Error` it does not implement `Error` itself: that is what lets `?` convert everything else.
///
/// An error whose text or drop panics harms nobody: the panic's text stands in for its own.
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
    Error(Contained),
}

/// A user's error. Its text is asked for, and it is dropped, wherever a fault happens to be: in a supervisor's task,
/// in a log line. So a panic of either stays here (G15). Never empty before it is dropped.
#[derive(Clone)]
struct Contained(Option<Arc<dyn Error + Send + Sync>>);

impl Drop for Contained {
    fn drop(&mut self) {
        drop(catch(|| drop(self.0.take())));
    }
}

impl Contained {
    fn show(&self, f: &mut fmt::Formatter<'_>, show: Show) -> fmt::Result {
        let Some(error) = self.0.as_deref() else { return Ok(()) };
        match catch(|| show(error, f)) {
            Ok(shown) => shown,
            Err(text) => write!(f, "an error whose text panicked: {text}"),
        }
    }
}

type Show = fn(&(dyn Error + Send + Sync), &mut fmt::Formatter<'_>) -> fmt::Result;

impl Fault {
    /// Makes a fault that says `text`.
    pub fn new(text: impl Into<String>) -> Fault {
        Fault(Cause::Text(text.into().into()))
    }

    /// Returns the error this fault was made from, or `None` if it was made from a text.
    pub fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &self.0 {
            Cause::Text(_) => None,
            Cause::Error(Contained(error)) => error.as_deref(),
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Fault {
    fn from(error: E) -> Fault {
        Fault(Cause::Error(Contained(Some(Arc::new(error)))))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Text(text) => f.write_str(text),
            Cause::Error(error) => error.show(f, |error, f| fmt::Display::fmt(error, f)),
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fault(")?;
        match &self.0 {
            Cause::Text(text) => fmt::Debug::fmt(text, f)?,
            Cause::Error(error) => error.show(f, |error, f| fmt::Debug::fmt(error, f))?,
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl fmt::Display for Broken {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half a text, ")?;
            panic!("no more of it")
        }
    }

    impl fmt::Debug for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("not even that")
        }
    }

    impl Error for Broken {}

    impl Drop for Broken {
        fn drop(&mut self) {
            panic!("in its drop")
        }
    }

    /// G15.
    #[test]
    fn an_error_that_panics_when_it_is_shown_or_dropped_does_not_reach_whoever_has_it() {
        let fault = Fault::from(Broken);
        assert_eq!(fault.to_string(), "half a text, an error whose text panicked: no more of it");
        assert_eq!(format!("{fault:?}"), "Fault(an error whose text panicked: not even that)");
        assert!(fault.clone().source().is_some_and(|error| error.is::<Broken>()));
        drop(fault);
    }
}
