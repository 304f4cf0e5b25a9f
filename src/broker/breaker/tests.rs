//! Does the breaker open, probe and close as its table says? (G11)

use proptest::prelude::*;

use super::*;

const FAILED: Ends = Ends { success: false, failures: 1 };
const GOOD: Ends = Ends { success: true, failures: 0 };
const NEITHER: Ends = Ends { success: false, failures: 0 };

fn lease(number: u64) -> LeaseId {
    LeaseId::new(number)
}

fn at(secs: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(secs)
}

/// Opens after 2, for 1 s, 2 s, 4 s..
fn fuse() -> Fuse {
    Fuse::new(Breaker::after(2))
}

/// Open since the moment 0, for a second.
fn open() -> Fuse {
    let mut fuse = fuse();
    assert!(!fuse.on_ends(lease(0), FAILED, at(0), 0));
    assert!(fuse.on_ends(lease(1), FAILED, at(0), 0));
    fuse
}

/// Half open at the second 1, with the probe out.
fn probing() -> Fuse {
    let mut fuse = open();
    assert!(!fuse.on_alarm(at(1) - Duration::from_nanos(1)) && fuse.on_alarm(at(1)));
    assert_eq!(fuse.room(), 1);
    fuse.on_lease(lease(7));
    assert_eq!(fuse.room(), 0);
    fuse
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_begins_anew() {
    let mut fuse = fuse();
    assert!(!fuse.on_ends(lease(0), FAILED, at(0), 0));
    assert!(!fuse.on_ends(lease(1), GOOD, at(0), 0));
    assert!(!fuse.on_ends(lease(2), FAILED, at(0), 0));
    assert!(!fuse.on_ends(lease(3), NEITHER, at(0), 0), "it is neither");
    assert_eq!((fuse.room(), fuse.next_alarm()), (u64::MAX, None));
    assert!(fuse.on_ends(lease(4), FAILED, at(0), 0));
    assert_eq!((fuse.room(), fuse.next_alarm()), (0, Some(at(1))));
    assert_eq!(fuse.stats(), BreakerStats { state: BreakerState::Open, opened: 1 });
}

#[test]
fn what_fails_while_it_is_open_changes_nothing() {
    let mut fuse = open();
    assert!(!fuse.on_ends(lease(2), FAILED, at(0), 0));
    assert_eq!((fuse.next_alarm(), fuse.stats().opened), (Some(at(1)), 1));
}

#[test]
fn a_probe_that_fails_opens_it_for_longer() {
    let mut fuse = probing();
    assert_eq!(fuse.stats().state, BreakerState::HalfOpen);
    assert!(fuse.on_ends(lease(7), FAILED, at(1), 0));
    assert_eq!((fuse.next_alarm(), fuse.stats().opened), (Some(at(3)), 2));
}

#[test]
fn a_success_closes_it_and_the_next_pause_is_the_first_again() {
    for fuse in [open(), probing()] {
        let mut fuse = fuse;
        assert!(!fuse.on_ends(lease(7), GOOD, at(1), 0));
        assert_eq!((fuse.room(), fuse.stats().state), (u64::MAX, BreakerState::Closed));
        assert!(!fuse.on_ends(lease(8), FAILED, at(9), 0));
        assert!(fuse.on_ends(lease(9), FAILED, at(9), 0));
        assert_eq!(fuse.next_alarm(), Some(at(10)));
    }
}

#[test]
fn a_probe_without_a_verdict_makes_way_for_another() {
    let mut released = probing();
    assert!(!released.on_ends(lease(7), NEITHER, at(1), 0));
    assert_eq!(released.room(), 1);
    let mut back = probing();
    back.on_over(lease(6));
    assert_eq!(back.room(), 0, "another lease");
    back.on_over(lease(7));
    assert_eq!(back.room(), 1);
}

#[test]
fn a_straggler_that_fails_is_not_the_probe() {
    let mut fuse = probing();
    assert!(!fuse.on_ends(lease(1), FAILED, at(1), 0));
    assert_eq!((fuse.room(), fuse.stats().opened), (0, 1), "the probe is still out");
}

#[test]
fn of_a_report_the_failures_behind_the_last_success_count() {
    let failed = || Verdict::failed("no");
    let tally = |exceptions: &[(u16, Verdict)]| {
        let Tally { all, last } = Tally::of(5, exceptions);
        (all, last)
    };
    assert_eq!(tally(&[]), (0, 0));
    assert_eq!(tally(&[(4, failed())]), (1, 1));
    assert_eq!(tally(&[(1, failed()), (3, failed())]), (2, 0), "4 was acked");
    assert_eq!(tally(&[(1, failed()), (3, failed()), (4, failed())]), (3, 2));
    assert_eq!(tally(&[(3, failed()), (4, Verdict::Drop)]), (1, 0));
    assert_eq!(tally(&[(3, failed()), (4, Verdict::Release)]), (1, 1));
    let rejected = Verdict::Dead { reason: "no".into() };
    assert_eq!(tally(&[(3, rejected), (4, Verdict::NoRoom { error: "full".into() })]), (1, 1));
}

#[test]
fn numbers_that_cannot_work_are_refused() {
    let faults = |breaker: Breaker| {
        let mut faults = Faults::default();
        breaker.check(&mut faults);
        faults.0.len()
    };
    assert_eq!(faults(Breaker::after(1)), 0);
    assert_eq!(faults(Breaker::after(1).pause(Duration::from_secs(300))), 0);
    assert_eq!(faults(Breaker::after(0).pause(Duration::ZERO)), 2);
    assert_eq!(faults(Breaker::after(1).backoff(Backoff::none())), 1);
}

proptest! {
    /// Against a count of what happened: it is closed exactly until so many failed in a row; once open, no more than one
    /// attempt in each pause, and no pause is shorter than the first.
    #[test]
    fn it_lets_through_no_more_than_one_in_each_pause_until_one_succeeds(
        limit in 1..5_u32, steps in prop::collection::vec((0..4000_u64, 0..10_u8), 0..200),
    ) {
        let mut fuse = Fuse::new(Breaker::after(limit));
        let (mut now, mut next, mut row, mut last_open) = (Moment::ZERO, 0, 0, None::<Moment>);
        for (wait, end) in steps {
            now = now + Duration::from_millis(wait);
            fuse.on_alarm(now);
            if fuse.room() == 0 {
                prop_assert!(row >= limit, "closed until so many failed");
                continue;
            }
            if let Some(since) = last_open {
                prop_assert!(now.since(since) >= Duration::from_secs(1), "a pause at least as long as the first");
                prop_assert_eq!(fuse.room(), 1);
            }
            next += 1;
            fuse.on_lease(lease(next));
            let ends = match end { 0 => GOOD, 1 => NEITHER, _ => FAILED };
            let opened = fuse.on_ends(lease(next), ends, now, 0);
            match end {
                0 => (row, last_open) = (0, None),
                1 => {}
                _ => row += 1,
            }
            prop_assert_eq!(opened, row >= limit && end > 1, "{} of {}", row, limit);
            if opened {
                last_open = Some(now);
            }
        }
    }
}
