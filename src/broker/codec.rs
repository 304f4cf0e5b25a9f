//! What turns messages into bytes and back, for topics on disk.

use std::sync::Arc;

use crate::base::Fault;

mod caught;
#[cfg(feature = "serde")]
mod json;
#[cfg(feature = "postcard")]
mod postcard;
mod raw;
#[cfg(feature = "serde")]
mod typed;

pub(super) use caught::{codec_name, decode, encode};
#[cfg(feature = "serde")]
pub use json::Json;
#[cfg(feature = "postcard")]
pub use postcard::Postcard;
pub use raw::Raw;

/// Turns messages into bytes and back, for a topic that keeps them on disk.
///
/// Ready ones are `Json` (feature `serde`), `Postcard` (feature `postcard`) and [`Raw`], for messages that are bytes or
/// text. One of your own takes few lines; an `Arc` of a codec is a codec too.
///
/// # What is kept
/// A topic keeps its codec's [`name`](Codec::name), and can't be reopened with another one. Each message keeps the
/// [`version`](Codec::version) that it was written as, and [`decode`](Codec::decode) is told: so a type may change while
/// messages of its former shape are still on disk.
///
/// # What fails
/// A message that `encode` refuses is not accepted, and given back: [`InvalidMessage::NotEncoded`]. Bytes that `decode`
/// refuses are not lost: each group that has not settled them gives them up as a dead letter with
/// [`DeadReason::Undecodable`], which has the bytes. A panic in either is the same as an error.
///
/// [`InvalidMessage::NotEncoded`]: super::InvalidMessage::NotEncoded
/// [`DeadReason::Undecodable`]: super::DeadReason::Undecodable
///
/// # Examples
/// Orders had no currency in version 1:
/// ```
/// use callboard::base::Fault;
/// use callboard::broker::{Codec, Json};
///
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Order { cents: u64, currency: String }
///
/// #[derive(serde::Deserialize, serde::Serialize)]
/// struct OrderV1 { cents: u64 }
///
/// struct Orders(Json);
///
/// impl Codec<Order> for Orders {
///     fn name(&self) -> &str {
///         Codec::<Order>::name(&self.0)
///     }
///
///     fn version(&self) -> u32 {
///         2
///     }
///
///     fn encode(&self, order: &Order, into: &mut Vec<u8>) -> Result<(), Fault> {
///         self.0.encode(order, into)
///     }
///
///     fn decode(&self, bytes: &[u8], version: u32) -> Result<Order, Fault> {
///         if version == 1 {
///             let OrderV1 { cents } = self.0.decode(bytes, version)?;
///             return Ok(Order { cents, currency: "EUR".to_string() });
///         }
///         self.0.decode(bytes, version)
///     }
/// }
///
/// let orders = Orders(Json::new().typed("order", 2));
/// assert_eq!(orders.name(), "json/1:order");
/// assert_eq!(orders.decode(br#"{"cents":250}"#, 1)?, Order { cents: 250, currency: "EUR".to_string() });
/// # Ok::<(), Fault>(())
/// ```
pub trait Codec<T>: Send + Sync + 'static {
    /// Names the format, and the type if there may be several: `json/1`, `json/1:order`. It keeps the rules of a
    /// [`Name`](crate::base::Name), and is always the same.
    fn name(&self) -> &str;

    /// Returns the version of the type that `encode` writes, to be raised when its shape changes. Default: 0.
    fn version(&self) -> u32 {
        0
    }

    /// Writes the message into `into`, which is empty.
    ///
    /// It is called in the publisher's task, once for each message.
    ///
    /// # Errors
    /// The message can't be written. It is not accepted.
    fn encode(&self, message: &T, into: &mut Vec<u8>) -> Result<(), Fault>;

    /// Reads a message that was written as this version, from all of `bytes`.
    ///
    /// Bytes are as they were written: those that the disk has changed don't come here. But they may be those of
    /// another version, older or, after a program was set back, newer.
    ///
    /// # Errors
    /// They are no such message.
    fn decode(&self, bytes: &[u8], version: u32) -> Result<T, Fault>;
}

impl<T, C: Codec<T> + ?Sized> Codec<T> for Arc<C> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn version(&self) -> u32 {
        (**self).version()
    }

    fn encode(&self, message: &T, into: &mut Vec<u8>) -> Result<(), Fault> {
        (**self).encode(message, into)
    }

    fn decode(&self, bytes: &[u8], version: u32) -> Result<T, Fault> {
        (**self).decode(bytes, version)
    }
}

#[cfg(test)]
mod tests;
