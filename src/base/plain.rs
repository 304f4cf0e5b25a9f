//! Words as data for others, with the feature `serde`.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Name, whole_millis};

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A time as whole milliseconds. Its field says so: `wait_ms`.
pub(crate) fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    whole_millis(*time).serialize(serializer)
}

/// The same for a time that there need not be.
pub(crate) fn millis_if_any<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(whole_millis).serialize(serializer)
}
