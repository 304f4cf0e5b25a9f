//! Postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Codec;
use super::typed::Typed;
use crate::base::Fault;

/// Writes messages in the [format of postcard](https://postcard.jamesmunns.com/wire-format): quick, and a third or so of
/// the bytes of JSON.
///
/// It writes no names: what a byte means follows from the type alone. So each change of the type's shape, a field more
/// as well as another order, makes it another format, and bytes of the former one may read as something else
/// without an error. **Raise the version with each change**, by [`Postcard::typed`]. Messages of another version are
/// refused; to read those of an older one, write a codec around this one, as [`Codec`] shows, and read them with
/// a `Postcard` of that version.
///
/// What needs names can't be read back: serde's `untagged`, `flatten`, `skip_serializing_if` and `tag`, and
/// `serde_json::Value`.
///
/// # Examples
/// ```
/// use callboard::broker::{Codec, Postcard};
///
/// let (postcard, mut bytes) = (Postcard::new().typed("pair", 2), Vec::new());
/// postcard.encode(&(7_u32, "rope".to_string()), &mut bytes)?;
/// assert_eq!(bytes, b"\x07\x04rope");
/// let pair: (u32, String) = postcard.decode(&bytes, 2)?;
/// assert_eq!(pair, (7, "rope".to_string()));
///
/// let older: Result<(u32, String), _> = postcard.decode(&bytes, 1);
/// assert_eq!(older.unwrap_err().to_string(), "postcard/1:pair of version 1, and this reads version 2");
/// # Ok::<(), callboard::base::Fault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postcard(Typed);

const FORMAT: &str = "postcard/1";

impl Postcard {
    /// Makes one that doesn't say of which type its messages are, for types that never change. It is named `postcard/1`.
    pub const fn new() -> Postcard {
        Postcard(Typed::new(FORMAT))
    }

    /// Names the type of the messages, and the version of its shape.
    ///
    /// Its name is then `postcard/1:order`, if that is the type: a topic can't be reopened for another type by mistake.
    pub fn typed(self, name: &str, version: u32) -> Postcard {
        Postcard(Typed::with(FORMAT, name, version))
    }
}

impl Default for Postcard {
    fn default() -> Postcard {
        Postcard::new()
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for Postcard {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn version(&self) -> u32 {
        self.0.version
    }

    fn encode(&self, message: &T, into: &mut Vec<u8>) -> Result<(), Fault> {
        postcard::to_io(message, into)?;
        Ok(())
    }

    fn decode(&self, bytes: &[u8], version: u32) -> Result<T, Fault> {
        self.0.the_same(version)?;
        let (message, rest) = postcard::take_from_bytes(bytes)?;
        // They are of another type then, and what was read is by chance.
        if !rest.is_empty() {
            return Err(Fault::new(format!("{} bytes are left behind the message", rest.len())));
        }
        Ok(message)
    }
}
