//! What messages weigh, where a topic has a limit in bytes.

use std::sync::Arc;

use super::InvalidMessage;
use super::bits::Bits;
use crate::base::catch;

/// The largest limit: a tebibyte. More is a slip, and what many publishers wait for must have a sum.
pub(crate) const MOST_BYTES: usize = 1 << 40;

/// Messages in a row that may have weights: a batch's handle.
pub(crate) trait Weighed {
    /// What these of them weigh together.
    fn weight(&self, which: Bits) -> u64;
}

/// What a topic weighs its messages with.
pub(crate) type Weigher<T> = Arc<dyn Fn(&T) -> usize + Send + Sync>;

/// The bytes of a message whose headers have so many. If the weigher panics, the log says so.
pub(crate) fn weigh<T>(
    weigher: &Weigher<T>,
    value: &T,
    headers: usize,
    limit: usize,
) -> Result<u64, InvalidMessage> {
    let payload = catch(|| weigher(value)).map_err(|text| {
        tracing::error!(target: "callboard::broker", panic = %text, "a weigher panicked");
        InvalidMessage::WeigherPanicked
    })?;
    let bytes = payload.saturating_add(headers);
    if bytes > limit { Err(InvalidMessage::TooLarge { bytes, limit }) } else { Ok(bytes as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_weighs_its_payload_and_its_headers_up_to_the_limit() {
        let weigher: Weigher<usize> = Arc::new(|size| {
            assert_ne!(*size, 13);
            *size
        });
        assert_eq!(weigh(&weigher, &7, 3, 10), Ok(10));
        assert_eq!(weigh(&weigher, &8, 3, 10), Err(InvalidMessage::TooLarge { bytes: 11, limit: 10 }));
        assert_eq!(
            weigh(&weigher, &usize::MAX, 3, 10),
            Err(InvalidMessage::TooLarge { bytes: usize::MAX, limit: 10 })
        );
        assert_eq!(weigh(&weigher, &13, 0, 100), Err(InvalidMessage::WeigherPanicked));
    }
}
