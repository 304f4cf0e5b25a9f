//! How many restarts are too many.

use super::InvalidSetting;
use crate::base::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// Bounds how often a supervisor restarts: more than `restarts` of them in any span of `within`, and it gives
/// up, stops its children and tells its own supervisor.
///
/// All children count together, and restarting several siblings for one failure counts once. `restarts: 0`
/// means that the first failure is passed on.
///
/// The default is 5 in 30 s. Erlang's is 1 in 5 s, for restarts that come at once; ours come after a
/// [`Backoff`](super::Backoff), and the number is chosen to fit the default one: a child that fails as soon
/// as it is started uses up its restarts in about 3 s, one that lives for 6 s or longer each time is never
/// given up, only restarted ever more slowly.
///
/// # Examples
/// ```
/// use callboard::supervise::Intensity;
/// use std::time::Duration;
///
/// assert_eq!(Intensity::default(), Intensity::new(5, Duration::from_secs(30)));
/// assert!(Intensity::new(1, Duration::ZERO).check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// How many restarts are fine; one more in the same span is too many.
    pub restarts: u32,
    /// The length of the span, which ends at the restart in question: it slides.
    pub within: Duration,
}

impl Intensity {
    /// The most `restarts` that can be asked for, since each one is remembered (8 bytes) until it is over.
    pub const MAX_RESTARTS: u32 = 10_000;
    /// The longest `within`: a year.
    pub const MAX_WITHIN: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    /// Makes an intensity of at most `restarts` in any span of `within`.
    pub const fn new(restarts: u32, within: Duration) -> Intensity {
        Intensity { restarts, within }
    }

    /// Checks that the numbers make sense.
    ///
    /// # Errors
    /// [`InvalidSetting`] lists everything that is wrong: too many restarts, a zero span, a span over
    /// [`Intensity::MAX_WITHIN`].
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let mut faults = Vec::new();
        if self.restarts > Intensity::MAX_RESTARTS {
            let max = Intensity::MAX_RESTARTS;
            faults.push(format!("the intensity's {} restarts are more than {max}", self.restarts));
        }
        if self.within.is_zero() {
            faults.push("the intensity's time span is zero".to_owned());
        } else if self.within > Intensity::MAX_WITHIN {
            let max = Intensity::MAX_WITHIN;
            faults.push(format!("the intensity's time span of {:?} is over {max:?}", self.within));
        }
        InvalidSetting::unless_empty(faults)
    }
}

impl Default for Intensity {
    fn default() -> Intensity {
        Intensity::new(5, Duration::from_secs(30))
    }
}

/// What a [`RestartWindow`] says of one more restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// Go on.
    Allowed,
    /// This one is too many.
    Exceeded,
}

/// Remembers the latest restarts, at most as many as are allowed, and says when there are too many.
#[derive(Clone, Debug)]
pub(crate) struct RestartWindow {
    intensity: Intensity,
    /// Oldest first; never more than `intensity.restarts`.
    recent: VecDeque<Moment>,
}

impl RestartWindow {
    pub(crate) fn new(intensity: Intensity) -> RestartWindow {
        RestartWindow { intensity, recent: VecDeque::new() }
    }

    pub(crate) fn intensity(&self) -> Intensity {
        self.intensity
    }

    /// Forgets all restarts.
    pub(crate) fn clear(&mut self) {
        self.recent.clear();
    }

    /// Counts a restart at `now`, which is no earlier than the one before.
    ///
    /// A restart that lies exactly `within` back still counts, as in Erlang/OTP. The window slides on after
    /// [`Allowance::Exceeded`], for an owner that carries on nevertheless.
    pub(crate) fn on_restart(&mut self, now: Moment) -> Allowance {
        let within = self.intensity.within;
        while self.recent.front().is_some_and(|restart| now.since(*restart) > within) {
            self.recent.pop_front();
        }
        let full = self.recent.len() as u64 >= u64::from(self.intensity.restarts);
        if full {
            self.recent.pop_front();
        }
        if self.intensity.restarts > 0 {
            self.recent.push_back(now);
        }
        if full { Allowance::Exceeded } else { Allowance::Allowed }
    }
}

#[cfg(test)]
mod tests {
    use super::Allowance::{Allowed, Exceeded};
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn more_restarts_than_allowed_in_the_span_are_too_many() {
        for (third, verdict) in [(9, Exceeded), (10, Exceeded), (11, Allowed)] {
            let mut window = RestartWindow::new(Intensity::new(2, Duration::from_secs(10)));
            assert_eq!([0, 5].map(|restart| window.on_restart(at(restart))), [Allowed, Allowed]);
            assert_eq!(window.on_restart(at(third)), verdict, "at {third}: the edge counts as inside");
        }
    }

    #[test]
    fn no_restart_at_all_is_an_intensity_too() {
        let mut window = RestartWindow::new(Intensity::new(0, Duration::from_secs(1)));
        assert_eq!(window.on_restart(at(0)), Exceeded);
        assert_eq!(window.on_restart(at(9)), Exceeded);
    }

    #[test]
    fn absurd_numbers_are_refused_together() {
        assert_eq!(Intensity::default().check(), Ok(()));
        assert_eq!(Intensity::new(0, Intensity::MAX_WITHIN).check(), Ok(()));
        assert_eq!(Intensity::new(u32::MAX, Duration::MAX).check().unwrap_err().faults().count(), 2);
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_full_history(
            restarts in 0..6_u32, within in 1..20_u64, steps in prop::collection::vec(0..12_u64, 0..60),
        ) {
            let mut window = RestartWindow::new(Intensity::new(restarts, Duration::from_secs(within)));
            let (mut clock, mut history) = (0, Vec::new());
            for step in steps {
                clock += step;
                history.push(clock);
                let counted = history.iter().filter(|restart| **restart + within >= clock).count();
                let exceeded = counted > restarts as usize;
                prop_assert_eq!(window.on_restart(at(clock)), if exceeded { Exceeded } else { Allowed });
                prop_assert!(window.recent.len() <= restarts as usize, "memory is bounded");
            }
        }
    }
}
