//! When a message counts as kept.

use std::fmt;
use std::time::Duration;

use super::settings::Faults;

/// Says when a topic on disk answers that it has a message. Default: [`Durability::EveryPublish`].
///
/// Either way what is answered with an id survives the end of the process, a kill included. They differ in what a
/// power cut, or an operating system that ends, can take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// `publish` answers once the message is on the disk, and the disk has said so: nothing that was answered is
    /// lost with the power.
    ///
    /// It costs the wait for the disk, often a millisecond or so; those who publish at the same time, to any topic,
    /// share it.
    #[default]
    EveryPublish,
    /// `publish` answers once the message was handed to the operating system; the disk is told to keep it within this
    /// time.
    ///
    /// A power cut takes what was answered since then, always the latest messages and never one in the middle. At
    /// most a year; a second or less is of use.
    Interval(Duration),
}

impl Durability {
    pub(super) fn check(self, faults: &mut Faults) {
        if let Durability::Interval(within) = self {
            faults.time("the interval of the durability", within);
        }
    }
}

/// Says it as it ends the sentence "the topic is".
impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Durability::EveryPublish => f.write_str("durable with every publish"),
            Durability::Interval(within) => write!(f, "durable within {within:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Name;
    use crate::broker::OpenError;

    #[test]
    fn an_interval_that_makes_no_sense_is_refused() {
        let faults = |durability: Durability| {
            let mut faults = Faults::default();
            durability.check(&mut faults);
            faults.0
        };
        let day = Duration::from_secs(24 * 3600);
        for fine in [Duration::from_nanos(1), 365 * day] {
            assert_eq!(faults(Durability::Interval(fine)), [""; 0]);
        }
        assert_eq!(faults(Durability::default()), [""; 0]);
        for bad in [Duration::ZERO, 366 * day, Duration::MAX] {
            let faults = faults(Durability::Interval(bad));
            assert!(
                matches!(&faults[..], [fault] if fault.contains("the interval of the durability")),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn another_durability_is_told_in_words() {
        let name = Name::new("orders").unwrap();
        let asked = Some(Durability::Interval(Duration::from_millis(5)));
        let other = OpenError::OtherDurability { name: name.clone(), is: None, asked };
        assert_eq!(other.to_string(), "not opened: topic orders is in memory, not durable within 5ms");
        let other = OpenError::OtherDurability { name, is: Some(Durability::EveryPublish), asked: None };
        assert_eq!(
            other.to_string(),
            "not opened: topic orders is durable with every publish, not in memory"
        );
    }
}
