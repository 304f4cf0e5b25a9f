//! Does a backoff grow, stop growing, and stay in its bounds whatever it is given?

use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_default_backoff_is_the_documented_one_and_valid() {
    let default = Backoff::default();
    assert_eq!(default.check(), Ok(()));
    assert_eq!(default.delay(1, 0), 100 * MS);
    assert_eq!(default.delay(100, 0), 30_000 * MS);
    assert_eq!(default.delay(100, u64::MAX).as_millis(), 24_000, "a fifth shorter at most");
}

#[test]
fn nothing_waits_before_the_first_failure() {
    for backoff in [Backoff::none(), Backoff::fixed(MS), Backoff::exponential(MS, MS), Backoff::default()] {
        assert_eq!(backoff.delay(0, 7), Duration::ZERO);
    }
    assert_eq!(Backoff::none().delay(9, 7), Duration::ZERO);
    assert_eq!(Backoff::fixed(5 * MS).delay(9, 7), 5 * MS);
}

#[test]
fn every_fault_is_reported_together() {
    let worst =
        Backoff::exponential(Duration::MAX, Duration::ZERO).jitter(f64::NAN).reset_after(Duration::ZERO);
    let error = worst.check().unwrap_err();
    let faults: Vec<&str> = error.faults().collect();
    assert_eq!(faults.len(), 5, "{error}");
    for (fault, word) in faults.iter().zip(["first delay", "cap", "calm", "below", "jitter"]) {
        assert!(fault.contains(word), "{fault}");
    }
    for bad in [
        Backoff::fixed(Duration::ZERO),
        Backoff::fixed(Backoff::MAX + MS),
        Backoff::exponential(2 * MS, MS),
        Backoff::none().jitter(-0.1),
        Backoff::none().jitter(f64::INFINITY),
    ] {
        assert_eq!(bad.check().unwrap_err().faults().count(), 1, "{bad:?}");
    }
    let extreme = Backoff::exponential(Duration::from_nanos(1), Backoff::MAX).jitter(1.0);
    assert_eq!(extreme.check(), Ok(()));
}

#[test]
fn what_ran_as_long_as_the_longest_delay_has_calmed() {
    let backoff = Backoff::exponential(MS, 10 * MS);
    assert!(!backoff.has_calmed(9 * MS));
    assert!(backoff.has_calmed(10 * MS));
    assert!(!backoff.reset_after(50 * MS).has_calmed(49 * MS));
    assert!(backoff.reset_after(5 * MS).has_calmed(5 * MS));
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..10_u64).prop_map(Duration::from_nanos),
        (0..100_000_u64).prop_map(Duration::from_millis),
        Just(Backoff::MAX),
        Just(Duration::MAX),
        any::<u64>().prop_map(Duration::from_secs),
    ]
}

proptest! {
    #[test]
    fn a_delay_stays_in_its_bounds_for_any_numbers(
        first in any_duration(), cap in any_duration(), jitter in any::<f64>(),
        failures in prop_oneof![0..70_u32, any::<u32>(), Just(u32::MAX)], random in any::<u64>(),
    ) {
        for backoff in [Backoff::exponential(first, cap), Backoff::fixed(cap), Backoff::none()] {
            let whole = backoff.delay(failures, random);
            prop_assert!(whole <= cap && whole <= Backoff::MAX);
            prop_assert_eq!(backoff.delay(failures, !random), whole, "random without jitter");
            prop_assert!(backoff.delay(failures.saturating_add(1), random) >= whole, "it never shrinks");
            let jittered = backoff.jitter(jitter);
            prop_assert!(jittered.delay(failures, random) <= whole);
            if jittered.check().is_ok() {
                let least = whole.as_secs_f64() * (1.0 - jitter);
                prop_assert!(jittered.delay(failures, random).as_secs_f64() >= least - 1e-6);
            }
        }
    }

    #[test]
    fn full_jitter_spreads_over_the_whole_delay(random in any::<u64>()) {
        let backoff = Backoff::fixed(Duration::from_secs(1)).jitter(1.0);
        let part = backoff.delay(1, random).as_secs_f64();
        prop_assert!((part - (1.0 - random as f64 / 2_f64.powi(64))).abs() < 1e-6);
    }
}
