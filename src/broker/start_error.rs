//! Why a broker was not started.

use std::error::Error;
use std::fmt;

use super::StorageError;
use crate::log::LogError;
use crate::runtime::NoRuntime;

/// Says why a broker with a data directory was not started. Nothing was started, and on the disk nothing changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StartError {
    /// There is no runtime.
    NoRuntime(NoRuntime),
    /// The directory can't be opened, or what is in it is damaged: the text says which file, and where.
    Storage(StorageError),
}

impl From<NoRuntime> for StartError {
    fn from(error: NoRuntime) -> StartError {
        StartError::NoRuntime(error)
    }
}

impl From<LogError> for StartError {
    fn from(error: LogError) -> StartError {
        StartError::Storage(error.into())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::NoRuntime(error) => write!(f, "the broker was not started: {error}"),
            StartError::Storage(error) => write!(f, "the broker was not started: {error}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StartError::NoRuntime(_) => None,
            StartError::Storage(error) => error.source(),
        }
    }
}
