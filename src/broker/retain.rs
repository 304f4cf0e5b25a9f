//! What a topic keeps of what all its groups have settled.

use std::time::Duration;

use super::settings::Faults;

/// How much a topic keeps as history: of what all groups have settled. Set by [`TopicBuilder::retain`](super::TopicBuilder::retain).
///
/// The limits hold together: what is beyond any of them goes, the oldest first. With none all is kept.
///
/// # Examples
/// ```
/// use callboard::broker::Retain;
/// use std::time::Duration;
///
/// // The last million messages, as long as none of them is older than a week.
/// let week = Retain::all().messages(1_000_000).age(Duration::from_secs(7 * 24 * 3600));
/// assert_ne!(week, Retain::all());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retain {
    pub(crate) messages: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) age: Option<Duration>,
}

impl Retain {
    /// Keeps everything, for ever: in memory for a topic in memory.
    pub fn all() -> Retain {
        Retain::default()
    }

    /// Keeps so many messages, the newest. At least 1.
    pub fn messages(self, messages: u64) -> Retain {
        Retain { messages: Some(messages), ..self }
    }

    /// Keeps so many bytes, at least 1. On disk those of the records; a little more is kept, since what goes goes in pieces. In memory
    /// they are what the topic's [`capacity_bytes`](super::TopicBuilder::capacity_bytes) says of each message, which it then needs.
    pub fn bytes(self, bytes: u64) -> Retain {
        Retain { bytes: Some(bytes), ..self }
    }

    /// Keeps what is not older than this: at least 1 ms, at most a year. By the milliseconds of the messages' ids.
    pub fn age(self, age: Duration) -> Retain {
        Retain { age: Some(age), ..self }
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        if self.messages == Some(0) || self.bytes == Some(0) {
            faults.add("a history of nothing is none: leave `retain` out".to_string());
        }
        if let Some(age) = self.age {
            faults.time("the age of the history", age);
        }
    }
}
