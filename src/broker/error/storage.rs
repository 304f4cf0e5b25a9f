//! What the disk said.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Carries what went wrong on the disk, or with what was found there. Cloning shares it.
///
/// Its text names the file, and the position if there is one. Two are equal if they say the same.
#[derive(Clone)]
pub struct StorageError(Arc<dyn Error + Send + Sync>);

impl StorageError {
    pub(crate) fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> StorageError {
        StorageError(error.into().into())
    }

    /// Returns what the operating system said, if it did: [`io::ErrorKind::StorageFull`] is a full disk.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        let mut error: Option<&(dyn Error + 'static)> = Some(&*self.0);
        while let Some(this) = error {
            if let Some(io) = this.downcast_ref::<io::Error>() {
                return Some(io.kind());
            }
            error = this.source();
        }
        None
    }
}

impl PartialEq for StorageError {
    fn eq(&self, other: &StorageError) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.to_string() == other.0.to_string()
    }
}

impl Eq for StorageError {}

impl fmt::Debug for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{ErrorKind, OpenError, PublishAllError, PublishError};

    /// G22.
    #[test]
    fn an_error_of_the_disk_says_what_to_do_and_gives_the_message_back() {
        let full = StorageError::new(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!((full.io_kind(), full.clone()), (Some(io::ErrorKind::StorageFull), full.clone()));
        let refused = PublishError::NotStored("anvil", full.clone());
        assert_eq!(refused.kind(), ErrorKind::Storage);
        assert_eq!(
            refused.to_string(),
            "not published: the disk refused it: no storage space; publish it again when that is mended"
        );
        assert_eq!(refused.into_inner(), "anvil");
        let unknown = PublishError::Unknown("rope", StorageError::new("journal/0.j can't be synced"));
        assert_eq!(unknown.kind(), ErrorKind::Unknown);
        assert_eq!(
            unknown.to_string(),
            "unknown whether published: journal/0.j can't be synced; start the broker anew to see what is there"
        );
        assert_eq!(unknown.into_inner(), "rope");
        let all = PublishAllError { accepted: Vec::new(), rest: vec![1, 2], kind: ErrorKind::Unknown };
        assert_eq!(
            all.to_string(),
            "the disk failed while it was writing: 0 messages were published, of 2 it is unknown"
        );
        let open = OpenError::from(full);
        assert_eq!(
            (open.kind(), open.to_string().as_str()),
            (ErrorKind::Storage, "not opened: no storage space")
        );
    }
}
