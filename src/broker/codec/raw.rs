//! Bytes as they are.

use std::sync::Arc;

use super::Codec;
use crate::base::Fault;

/// Writes messages as they are: for those that are bytes (`Vec<u8>`, `Box<[u8]>`, `Arc<[u8]>`) or text (`String`,
/// `Box<str>`, `Arc<str>`). It is named `raw/1`.
///
/// # Examples
/// ```
/// use callboard::broker::{Codec, Raw};
///
/// let mut bytes = Vec::new();
/// Raw.encode(&"one anvil".to_string(), &mut bytes)?;
/// assert_eq!(bytes, b"one anvil");
/// let text: String = Raw.decode(&bytes, 0)?;
/// assert_eq!(text, "one anvil");
/// # Ok::<(), callboard::base::Fault>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

macro_rules! raw {
    ($($type:ty, $as_bytes:expr, $read:expr;)*) => {
        $(impl Codec<$type> for Raw {
            fn name(&self) -> &str {
                "raw/1"
            }

            fn encode(&self, message: &$type, into: &mut Vec<u8>) -> Result<(), Fault> {
                into.extend_from_slice($as_bytes(message));
                Ok(())
            }

            fn decode(&self, bytes: &[u8], version: u32) -> Result<$type, Fault> {
                if version != 0 {
                    return Err(Fault::new(format!("raw/1 has no version {version}")));
                }
                $read(bytes)
            }
        })*
    };
}

raw! {
    Vec<u8>, Vec::as_slice, |bytes: &[u8]| Ok(bytes.into());
    Box<[u8]>, AsRef::as_ref, |bytes: &[u8]| Ok(bytes.into());
    Arc<[u8]>, AsRef::as_ref, |bytes: &[u8]| Ok(bytes.into());
    String, str::as_bytes, |bytes| Ok(str::from_utf8(bytes)?.into());
    Box<str>, str::as_bytes, |bytes| Ok(str::from_utf8(bytes)?.into());
    Arc<str>, str::as_bytes, |bytes| Ok(str::from_utf8(bytes)?.into());
}
