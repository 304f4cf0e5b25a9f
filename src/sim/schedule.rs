//! What happens next: pure, from the seed alone.

use std::time::Duration;

use super::ready::{Ready, TaskId};
use super::rng::Rng;
use super::timers::Timers;
use super::trace::Trace;
use crate::base::Moment;

/// The farthest that the clock slips at once. Deadlines of tests are farther off, delays worth racing are nearer.
const MAX_SLIP: Duration = Duration::from_millis(50);
/// The rates that a seed draws from: never, or at one step in so many.
const SLIPS: [Slip; 4] = [Slip::NEVER, Slip(128), Slip(32), Slip(8)];

/// How often the clock passes while tasks are ready: at one step in so many, or never if 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slip(pub(super) u32);

impl Slip {
    pub(super) const NEVER: Slip = Slip(0);

    fn drawn(rng: &mut Rng) -> Slip {
        let choice = rng.below(SLIPS.len());
        SLIPS.get(choice).copied().unwrap_or(Slip::NEVER)
    }

    fn strikes(self, rng: &mut Rng) -> bool {
        self.0 > 0 && rng.below(self.0 as usize) == 0
    }
}

/// How much a run may use before it counts as stuck.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) steps: u64,
    pub(super) time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        // Why these: some seconds of real time each, and far more than any test of this crate takes.
        Limits { steps: 5_000_000, time: Duration::from_secs(24 * 3600) }
    }
}

/// What the scheduler wants done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<W> {
    /// Poll this task.
    Poll(TaskId),
    /// Wake these: the clock has moved to where their timers are due.
    Fire(Vec<W>),
    /// Nothing can run, and the clock has nowhere to go or, while somebody settles, must not.
    Idle,
    /// The limit of steps is used up.
    TooManySteps,
    /// The next timer lies behind the limit of time.
    TooLate,
}

/// Decides which task runs and how the clock moves. Knows neither futures nor locks.
///
/// ```text
///   ready     settling   next timer         answer
///   some      no         within MAX_SLIP    Fire at Slip's odds, else Poll
///   some      any        otherwise          Poll
///   none      yes        any                Idle: the caller wakes one who settles
///   none      no         some               Fire, or TooLate
///   none      no         none               Idle: a deadlock
/// ```
/// Invariant: every timer that is set lies after `now`, since a timer fires when the clock gets to it.
#[derive(Debug)]
pub(super) struct Schedule<W> {
    pub(super) ready: Ready,
    pub(super) timers: Timers<W>,
    pub(super) limits: Limits,
    pub(super) slip: Slip,
    rng: Rng,
    now: Moment,
    steps: u64,
    trace: Trace,
}

impl<W> Schedule<W> {
    pub(super) fn new(mut rng: Rng) -> Schedule<W> {
        Schedule {
            ready: Ready::default(),
            timers: Timers::new(),
            limits: Limits::default(),
            slip: Slip::drawn(&mut rng),
            rng,
            now: Moment::ZERO,
            steps: 0,
            trace: Trace::new(),
        }
    }

    pub(super) fn decide(&mut self, settling: bool) -> Next<W> {
        if self.steps >= self.limits.steps {
            return Next::TooManySteps;
        }
        if self.ready.is_empty() {
            return if settling { Next::Idle } else { self.jump() };
        }
        if let Some(at) = self.slip_target(settling) {
            return self.fire(at);
        }
        let ready = self.ready.len();
        let Some(task) = self.ready.pick(&mut self.rng) else { return Next::Idle };
        self.steps += 1;
        self.trace.note(task.0);
        self.trace.note(ready as u64);
        self.trace.note(self.now.as_nanos());
        Next::Poll(task)
    }

    /// The machine was asleep: the clock goes on by `time` at once. Answers whose timers are due.
    pub(super) fn suspend(&mut self, time: Duration) -> Vec<W> {
        self.now = self.now + time;
        self.timers.take_due(self.now)
    }

    /// Makes a text part of the trace.
    pub(super) fn note(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.trace.note(u64::from(byte)));
    }

    pub(super) fn now(&self) -> Moment {
        self.now
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    fn slip_target(&mut self, settling: bool) -> Option<Moment> {
        if settling || self.slip == Slip::NEVER {
            return None;
        }
        let at = self.timers.next()?;
        let reachable = at.since(self.now) <= MAX_SLIP && self.in_time(at);
        (reachable && self.slip.strikes(&mut self.rng)).then_some(at)
    }

    fn jump(&mut self) -> Next<W> {
        match self.timers.next() {
            Some(at) if self.in_time(at) => self.fire(at),
            Some(_) => Next::TooLate,
            None => Next::Idle,
        }
    }

    fn fire(&mut self, at: Moment) -> Next<W> {
        // Why max: time never runs back, even should a timer have been set behind it.
        self.now = self.now.max(at);
        Next::Fire(self.timers.take_due(self.now))
    }

    fn in_time(&self, at: Moment) -> bool {
        at.since(Moment::ZERO) <= self.limits.time
    }
}

#[cfg(test)]
mod tests {
    use super::super::timers::TimerId;
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(millis)
    }

    fn schedule(slip: Slip, ready: &[u64], timers: &[u64]) -> Schedule<u64> {
        let mut schedule = Schedule::new(Rng::new(1, 0));
        schedule.slip = slip;
        ready.iter().for_each(|id| schedule.ready.push(TaskId(*id)));
        for (id, millis) in timers.iter().enumerate() {
            schedule.timers.set(at(*millis), TimerId(id as u64), *millis);
        }
        schedule
    }

    const ALWAYS: Slip = Slip(1);

    #[test]
    fn the_clock_stands_while_a_task_is_ready_and_then_jumps_to_the_next_timer() {
        let mut schedule = schedule(Slip::NEVER, &[4], &[10, 20, 10]);
        assert_eq!(schedule.decide(false), Next::Poll(TaskId(4)));
        assert_eq!(schedule.now(), Moment::ZERO);
        assert_eq!(schedule.decide(false), Next::Fire(vec![10, 10]));
        assert_eq!(schedule.now(), at(10));
        assert_eq!(schedule.decide(false), Next::Fire(vec![20]));
        assert_eq!(schedule.decide(false), Next::Idle);
        assert_eq!(schedule.steps(), 1);
    }

    #[test]
    fn the_clock_slips_past_a_ready_task_to_a_near_timer_only() {
        let mut schedule = schedule(ALWAYS, &[4], &[50, 101]);
        assert_eq!(schedule.decide(false), Next::Fire(vec![50]));
        assert_eq!(schedule.now(), at(50));
        assert_eq!(schedule.decide(false), Next::Poll(TaskId(4)), "51 ms are too far to slip");
    }

    #[test]
    fn while_somebody_settles_time_stands_still() {
        let mut schedule = schedule(ALWAYS, &[4], &[1]);
        assert_eq!(schedule.decide(true), Next::Poll(TaskId(4)));
        assert_eq!(schedule.decide(true), Next::Idle);
        assert_eq!(schedule.now(), Moment::ZERO);
    }

    #[test]
    fn a_run_ends_at_its_limits() {
        let mut slow = schedule(Slip::NEVER, &[], &[2_000]);
        slow.limits.time = Duration::from_secs(1);
        assert_eq!(slow.decide(false), Next::TooLate);
        assert_eq!(slow.now(), Moment::ZERO);
        let mut busy = schedule(Slip::NEVER, &[1, 2], &[]);
        busy.limits.steps = 1;
        assert!(matches!(busy.decide(false), Next::Poll(_)));
        assert_eq!(busy.decide(false), Next::TooManySteps);
    }

    #[test]
    fn seeds_draw_every_slip_rate_about_as_often() {
        for slip in SLIPS {
            let count = (0..1000).filter(|seed| Schedule::<()>::new(Rng::new(*seed, 0)).slip == slip).count();
            assert!((200..300).contains(&count), "{slip:?}: {count}");
        }
    }

    #[test]
    fn the_clock_slips_about_as_often_as_the_rate_says() {
        let mut rng = Rng::new(3, 0);
        for slip in [8_u32, 32, 128] {
            let strikes = (0..128_000).filter(|_| Slip(slip).strikes(&mut rng)).count();
            let expected = 128_000 / slip as usize;
            assert!((expected * 8 / 10..expected * 12 / 10).contains(&strikes), "{slip}: {strikes}");
        }
    }
}
