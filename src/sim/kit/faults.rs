//! Which faults strike, and how often.

use std::fmt;
use std::time::Duration;

use super::super::rng::Rng;

/// Names a point in an attempt at which it crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Point {
    /// Before the handler: it panics with no effect of its own.
    BeforeHandler,
    /// After the handler and before the ack: its effects are done, and it panics.
    AfterHandler,
}

/// Says how often faults strike, each in so many of 1,000 attempts. Default: never.
///
/// # Examples
/// ```
/// use callboard::sim::Faults;
///
/// let faults = Faults::none().panics_before(50).panics_after(50).hangs(5);
/// assert_eq!(faults.to_string(), "50‰ panic before, 50‰ panic after, 5‰ hang");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    panic_before: u16,
    panic_after: u16,
    hang: u16,
    pause: u16,
    longest: Duration,
}

/// What befalls one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    Panic,
    Hang,
    Pause(Duration),
}

/// The rates that a seed draws from, in thousandths.
#[cfg(test)]
const RATES: [u16; 4] = [0, 5, 30, 150];

impl Faults {
    /// No fault ever.
    pub fn none() -> Faults {
        Faults::default()
    }

    /// A little of everything: one panic in 20 attempts, before or after the handler, and now and then a pause.
    ///
    /// No hang: a handler that hangs costs its group's whole `ack_timeout`.
    pub fn some() -> Faults {
        Faults::none().panics_before(25).panics_after(25).pauses(50, Duration::from_millis(20))
    }

    /// Panics before the handler in so many of 1,000 attempts.
    pub fn panics_before(mut self, rate: u16) -> Faults {
        self.panic_before = rate.min(1000);
        self
    }

    /// Panics after the handler, before the ack, in so many of 1,000 attempts.
    pub fn panics_after(mut self, rate: u16) -> Faults {
        self.panic_after = rate.min(1000);
        self
    }

    /// Never ends in so many of 1,000 attempts: only the group's `ack_timeout` does.
    pub fn hangs(mut self, rate: u16) -> Faults {
        self.hang = rate.min(1000);
        self
    }

    /// Takes up to `longest` more in so many of 1,000 attempts.
    pub fn pauses(mut self, rate: u16, longest: Duration) -> Faults {
        (self.pause, self.longest) = (rate.min(1000), longest);
        self
    }

    #[cfg(test)]
    /// Each fault at a rate that is drawn: never, seldom, sometimes or often.
    pub(in crate::sim) fn drawn(rng: &mut Rng, longest: Duration) -> Faults {
        let mut rate = || RATES.get(rng.below(RATES.len())).copied().unwrap_or(0);
        let (before, after, hang, pause) = (rate(), rate(), rate() / 2, rate());
        Faults::none().panics_before(before).panics_after(after).hangs(hang).pauses(pause, longest)
    }

    pub(super) fn before(&self, rng: &mut Rng) -> Option<Strike> {
        let mut drawn = u16::try_from(rng.below(1000)).unwrap_or(0);
        let mut falls = |rate: u16| {
            let falls = drawn < rate;
            drawn = drawn.saturating_sub(rate);
            falls
        };
        match () {
            () if falls(self.panic_before) => Some(Strike::Panic),
            () if falls(self.hang) => Some(Strike::Hang),
            () if falls(self.pause) => Some(Strike::Pause(self.pause(rng))),
            () => None,
        }
    }

    pub(super) fn after(&self, rng: &mut Rng) -> Option<Strike> {
        (rng.below(1000) < usize::from(self.panic_after)).then_some(Strike::Panic)
    }

    fn pause(&self, rng: &mut Rng) -> Duration {
        let nanos = usize::try_from(self.longest.as_nanos()).unwrap_or(usize::MAX);
        Duration::from_nanos(rng.below(nanos) as u64)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rates = [
            (self.panic_before, "panic before"),
            (self.panic_after, "panic after"),
            (self.hang, "hang"),
            (self.pause, "pause"),
        ];
        let mut first = true;
        for (rate, what) in rates.into_iter().filter(|(rate, _)| *rate > 0) {
            write!(f, "{}{rate}‰ {what}", if first { "" } else { ", " })?;
            first = false;
        }
        if first { f.write_str("no faults") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_strike_as_often_as_they_are_asked_to() {
        let faults = Faults::none().panics_before(100).hangs(50).pauses(200, Duration::from_millis(3));
        let mut rng = Rng::new(7, 0);
        let strikes: Vec<_> = (0..10_000).filter_map(|_| faults.before(&mut rng)).collect();
        let count = |is: fn(&Strike) -> bool| strikes.iter().filter(|strike| is(strike)).count();
        assert!((900..1100).contains(&count(|strike| *strike == Strike::Panic)));
        assert!((430..570).contains(&count(|strike| *strike == Strike::Hang)));
        assert!((1850..2150).contains(&count(|strike| matches!(strike, Strike::Pause(_)))));
        let short = |strike: &Strike| !matches!(strike, Strike::Pause(time) if *time >= faults.longest);
        assert!(strikes.iter().all(short));
        assert_eq!(faults.after(&mut rng), None);
        let after = Faults::none().panics_after(1000);
        assert_eq!((after.before(&mut rng), after.after(&mut rng)), (None, Some(Strike::Panic)));
    }
}
