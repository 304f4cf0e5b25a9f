//! The fields of an entry, and their values, in one piece of memory.

use std::fmt;
use std::sync::Arc;

use crate::base::varint::{Take, put_bytes, put_u64};

/// Fields and values in turn. Cloning shares them.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::server) struct Fields(Arc<[u8]>);

impl Fields {
    /// Of fields and values in turn.
    pub(in crate::server) fn new<'a>(parts: impl ExactSizeIterator<Item = &'a [u8]>) -> Fields {
        let mut bytes = Vec::new();
        put_u64(&mut bytes, parts.len() as u64);
        parts.for_each(|part| put_bytes(&mut bytes, part));
        Fields(bytes.into())
    }

    /// How many parts there are, and then each.
    pub(in crate::server) fn parts(&self) -> (usize, impl Iterator<Item = &[u8]>) {
        let mut take = Take::new(&self.0);
        let count = take.u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        (count, std::iter::from_fn(move || take.sized()).take(count))
    }

    /// As they are written down.
    pub(in crate::server) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Those that were written down so. `None`: they are none.
    pub(in crate::server) fn from_bytes(bytes: &[u8]) -> Option<Fields> {
        let mut take = Take::new(bytes);
        let count = take.u64()?;
        for _ in 0..count {
            take.sized()?;
        }
        take.is_empty().then(|| Fields(bytes.into()))
    }

    /// How many bytes they take.
    pub(in crate::server) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts().1.map(String::from_utf8_lossy)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_what_was_put_in() {
        let parts: [&[u8]; 4] = [b"", b"value", &[0xff; 300], b"\r\n"];
        let fields = Fields::new(parts.into_iter());
        let (count, read) = fields.parts();
        assert_eq!((count, read.collect::<Vec<_>>()), (4, parts.to_vec()));
    }
}
