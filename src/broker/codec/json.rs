//! JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Codec;
use super::typed::Typed;
use crate::base::Fault;

/// Writes messages as JSON: the format to begin with, since a person can read it and fields can come and go.
///
/// It names fields, so a type may get a field that has a default (`#[serde(default)]`), and lose one, while messages of
/// its former shape are on disk. Raise the version with each such change, by [`Json::typed`]: a program that was set
/// back then knows what it can't read. Messages of an older version are read as they are; to change them while they
/// are read, write a codec around this one, as [`Codec`] shows.
///
/// JSON has no numbers but finite ones, and no map whose keys aren't texts or numbers: an infinite or undefined `f64` is
/// written as `null`, which then can't be read as one. Nor can much of what serde calls untagged or flattened. Test
/// that a message of each kind comes back.
///
/// # Examples
/// ```
/// use callboard::broker::{Codec, Json};
///
/// let (json, mut bytes) = (Json::new(), Vec::new());
/// json.encode(&vec![1, 2], &mut bytes)?;
/// assert_eq!((&bytes[..], json.decode(&bytes, 0)?), (&b"[1,2]"[..], vec![1, 2]));
/// # Ok::<(), callboard::base::Fault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(Typed);

const FORMAT: &str = "json/1";

impl Json {
    /// Makes one that doesn't say of which type its messages are. It is named `json/1`.
    pub const fn new() -> Json {
        Json(Typed::new(FORMAT))
    }

    /// Names the type of the messages, and the version of its shape.
    ///
    /// Its name is then `json/1:order`, if that is the type: a topic can't be reopened for another type by mistake.
    pub fn typed(self, name: &str, version: u32) -> Json {
        Json(Typed::with(FORMAT, name, version))
    }
}

impl Default for Json {
    fn default() -> Json {
        Json::new()
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn version(&self) -> u32 {
        self.0.version
    }

    fn encode(&self, message: &T, into: &mut Vec<u8>) -> Result<(), Fault> {
        Ok(serde_json::to_writer(into, message)?)
    }

    fn decode(&self, bytes: &[u8], version: u32) -> Result<T, Fault> {
        self.0.not_newer(version)?;
        Ok(serde_json::from_slice(bytes)?)
    }
}
