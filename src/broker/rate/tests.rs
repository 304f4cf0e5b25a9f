//! Does a bucket let through what it says, and never more? (G9)

use proptest::prelude::*;

use super::*;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(nanos: u64) -> Moment {
    Moment::from_nanos(nanos)
}

/// Takes all there is, for good.
fn drain(bucket: &mut Bucket, now: Moment) -> u64 {
    let tokens = bucket.tokens(now);
    spend(bucket, tokens);
    tokens
}

fn spend(bucket: &mut Bucket, tokens: u64) {
    let lease = LeaseId::new(u64::MAX);
    bucket.take(lease, tokens);
    bucket.on_over(lease);
}

#[test]
fn a_full_bucket_gives_its_burst_and_then_one_token_after_another() {
    let mut bucket = Bucket::full(RateLimit::per_second(10).burst(3), Moment::ZERO);
    assert_eq!((bucket.next_token(), drain(&mut bucket, Moment::ZERO)), (None, 3));
    for step in 1..=20_u64 {
        let due = Moment::ZERO + millis(100 * step);
        assert_eq!(bucket.next_token(), Some(due));
        assert_eq!(bucket.tokens(due - Duration::from_nanos(1)), 0, "not a nanosecond before");
        assert_eq!(drain(&mut bucket, due), 1);
    }
    assert_eq!(drain(&mut bucket, Moment::MAX), 3, "what is not used is saved up to the burst");
}

/// Three in a second are one in 333,333,333.3 ns: after many, none is missing. With a burst of 1 the third of a
/// nanosecond by which each comes too late is lost, since nothing above one token may be saved up.
#[test]
fn rounding_loses_no_token_in_the_long_run() {
    let mut bucket = Bucket::full(RateLimit::per_second(3).burst(2), Moment::ZERO);
    let mut given = drain(&mut bucket, Moment::ZERO);
    while let Some(due) = bucket.next_token().filter(|due| *due <= at(1_000_000_000_000)) {
        given += drain(&mut bucket, due);
    }
    assert_eq!(given, 3002, "1,000 s, and the first two");
}

#[test]
fn a_moment_that_is_older_than_the_last_brings_nothing() {
    let mut bucket = Bucket::full(RateLimit::per_second(10).burst(1), at(1_000_000_000));
    assert_eq!(drain(&mut bucket, at(1_000_000_000)), 1);
    assert_eq!(bucket.tokens(at(0)), 0);
    assert_eq!(bucket.tokens(at(1_099_999_999)), 0);
    assert_eq!(bucket.tokens(at(1_100_000_000)), 1);
}

/// Takes so many, with leases from this number on.
fn lend(bucket: &mut Bucket, first: u64, messages: u64) {
    (first..first + messages).for_each(|number| bucket.take(LeaseId::new(number), 1));
}

#[test]
fn what_comes_back_unbegun_is_there_again() {
    let mut bucket = Bucket::full(RateLimit::per_second(10).burst(2), Moment::ZERO);
    lend(&mut bucket, 0, 2);
    bucket.put_back(LeaseId::new(1));
    bucket.put_back(LeaseId::new(1));
    bucket.put_back(LeaseId::new(7));
    assert_eq!(bucket.tokens(Moment::ZERO), 1, "once, and only what was taken");
}

#[test]
fn what_comes_back_to_a_bucket_that_was_full_meanwhile_is_lost() {
    let mut bucket = Bucket::full(RateLimit::per_second(10).burst(2), Moment::ZERO);
    lend(&mut bucket, 0, 2);
    assert_eq!(bucket.tokens(Moment::ZERO + millis(100)), 1);
    bucket.put_back(LeaseId::new(0));
    assert_eq!(
        bucket.tokens(Moment::ZERO + millis(100)),
        1,
        "with it and the other there would have been three"
    );
    bucket.put_back(LeaseId::new(1));
    assert_eq!(bucket.tokens(Moment::ZERO + millis(100)), 2);
    lend(&mut bucket, 2, 1);
    assert_eq!(drain(&mut bucket, Moment::ZERO + millis(300)), 2);
    bucket.put_back(LeaseId::new(2));
    assert_eq!(bucket.tokens(Moment::ZERO + millis(300)), 0);
}

#[test]
fn what_weighs_more_than_there_is_goes_alone_and_is_paid_for_before_the_next() {
    let mut bucket = Bucket::full(RateLimit::per_second(10).burst(3), Moment::ZERO);
    bucket.take(LeaseId::new(0), 8);
    assert_eq!(bucket.tokens(Moment::ZERO), 0);
    let next = Moment::ZERO + millis(600);
    assert_eq!(bucket.next_token(), Some(next), "five are owed");
    assert_eq!((bucket.tokens(next - Duration::from_nanos(1)), bucket.tokens(next)), (0, 1));
    bucket.take(LeaseId::new(1), 4);
    bucket.put_back(LeaseId::new(1));
    assert_eq!(bucket.tokens(next), 1, "what comes back unbegun brings back what it took");
    bucket.take(LeaseId::new(2), 4);
    bucket.on_over(LeaseId::new(2));
    bucket.put_back(LeaseId::new(2));
    assert_eq!(bucket.tokens(next), 0, "what was begun is spent");
    let owed = bucket.changed(RateLimit::per_second(100).burst(50), next);
    assert_eq!(owed.next_token(), Some(next + millis(40)), "three are owed still");
}

#[test]
fn the_heaviest_there_could_be_does_not_upset_the_sums() {
    let year = Duration::from_secs(365 * 24 * 3600);
    let mut bucket = Bucket::full(RateLimit::new(1, year), Moment::ZERO);
    bucket.take(LeaseId::new(0), u64::MAX);
    assert_eq!((bucket.tokens(Moment::ZERO + year), bucket.next_token()), (0, Some(Moment::MAX)));
    let mut back = bucket.clone();
    back.put_back(LeaseId::new(0));
    assert_eq!(back.tokens(Moment::ZERO + year), 1, "all but what would not have fitted meanwhile");
    assert_eq!(bucket.tokens(Moment::MAX), 0);
}

#[test]
fn another_limit_keeps_the_tokens_as_far_as_its_burst_goes() {
    let bucket = Bucket::full(RateLimit::per_second(10).burst(5), Moment::ZERO);
    let tokens = |limit: RateLimit| bucket.clone().changed(limit, Moment::ZERO).tokens(Moment::ZERO);
    assert_eq!(tokens(RateLimit::per_second(1).burst(3)), 3);
    assert_eq!(tokens(RateLimit::per_second(1).burst(9)), 5);
}

#[test]
fn another_limit_keeps_parts_of_tokens_and_knows_what_may_come_back() {
    let mut bucket = Bucket::full(RateLimit::per_second(10).burst(4), Moment::ZERO);
    (0..4).for_each(|lease| bucket.take(LeaseId::new(lease), 1));
    let half = Moment::ZERO + millis(50);
    let mut bucket = bucket.changed(RateLimit::per_second(1).burst(2), half);
    assert_eq!(bucket.next_token(), Some(half + millis(500)));
    bucket.put_back(LeaseId::new(0));
    bucket.put_back(LeaseId::new(1));
    assert_eq!(bucket.tokens(half), 0, "of the oldest no token may come back: there is room for two");
    bucket.put_back(LeaseId::new(3));
    assert_eq!((bucket.tokens(half), bucket.tokens(half + millis(500))), (1, 2));
}

/// However often the limit is set, and to what: what a second brings is in the end what it says.
#[test]
fn a_limit_that_is_set_often_brings_what_it_says() {
    let limits =
        [RateLimit::per_second(7).burst(1), RateLimit::new(7 * 60, Duration::from_secs(60)).burst(1)];
    let mut bucket = Bucket::full(limits[0], Moment::ZERO);
    let mut taken = 0;
    for now in 0..10_000 {
        let at = Moment::ZERO + millis(now);
        bucket = bucket.changed(limits[now as usize % 2], at);
        if bucket.tokens(at) > 0 {
            bucket.take(LeaseId::new(now), 1);
            bucket.on_over(LeaseId::new(now));
            taken += 1;
        }
    }
    assert!((69..=71).contains(&taken), "{taken}");
}

#[test]
fn a_tenth_of_the_messages_may_go_at_once_unless_told_otherwise() {
    assert_eq!([0, 1, 19, 20, 500].map(|n| RateLimit::per_second(n).burst_size()), [1, 1, 1, 2, 50]);
}

#[test]
fn numbers_that_cannot_work_are_refused_together() {
    let faults = |limit: RateLimit| {
        let mut faults = Faults::default();
        limit.check(&mut faults);
        faults.0.len()
    };
    assert_eq!(faults(RateLimit::per_second(1)), 0);
    assert_eq!(faults(RateLimit::new(u32::MAX, millis(1)).burst(u32::MAX)), 0);
    assert_eq!(faults(RateLimit::new(0, Duration::ZERO).burst(0)), 3);
    assert_eq!(faults(RateLimit::new(u32::MAX, Duration::MAX)), 1);
}

fn limit() -> impl Strategy<Value = RateLimit> {
    (1..50_u32, 1000..3_000_000_000_u64, 1..9_u32).prop_map(|(messages, interval, burst)| {
        RateLimit::new(messages, Duration::from_nanos(interval)).burst(burst)
    })
}

proptest! {
    /// Whatever is asked for, of whatever weight, given back, and whenever: in ANY window of length d at most
    /// burst + rate * d, of which the last message takes one, whatever it weighs.
    #[test]
    fn no_window_sees_more_than_its_burst_and_its_rate(
        limit in limit(),
        heaviest in 1..5_u64,
        steps in prop::collection::vec((0..900_000_000_u64, 0..7_u64, prop::collection::vec(0..9_usize, 0..4)), 1..80),
    ) {
        let mut bucket = Bucket::full(limit, Moment::ZERO);
        let (mut now, mut lent, mut next) = (0, Vec::<(u64, u64, u64)>::new(), 0);
        for (wait, wants, back) in steps {
            now += wait;
            for _ in 0..wants {
                if bucket.tokens(at(now)) > 0 {
                    let weight = if heaviest == 1 { 1 } else { next * 7 % (heaviest + 1) };
                    bucket.take(LeaseId::new(next), weight);
                    lent.push((next, now, weight));
                    next += 1;
                }
            }
            for ago in back {
                if let Some(which) = lent.len().checked_sub(1 + ago) {
                    let (lease, _, _) = lent.remove(which);
                    bucket.put_back(LeaseId::new(lease));
                }
            }
        }
        for (first, (_, since, _)) in lent.iter().enumerate() {
            let mut sum = 0;
            for (last, (_, until, weight)) in lent.iter().enumerate().skip(first) {
                let over = u128::from(sum + weight.min(&1)).saturating_sub(u128::from(limit.burst_size()));
                let brought = u128::from(until - since) * u128::from(limit.messages());
                prop_assert!(over * limit.interval().as_nanos() <= brought, "{first}..={last} of {lent:?}");
                sum += weight;
            }
        }
    }

    /// Whoever waits for the next token each time gets as many as the rate brings, and not one less.
    #[test]
    fn nothing_is_lost_to_whoever_takes_each_token_when_it_comes(limit in limit(), tokens in 1..200_u64) {
        let limit = limit.burst(2);
        let mut bucket = Bucket::full(limit, Moment::ZERO);
        spend(&mut bucket, 2);
        let mut due = Moment::ZERO;
        for _ in 0..tokens {
            due = bucket.next_token().unwrap();
            prop_assert_eq!(bucket.tokens(due), 1);
            spend(&mut bucket, 1);
        }
        let exact = (u128::from(tokens) * limit.interval().as_nanos()).div_ceil(u128::from(limit.messages()));
        prop_assert_eq!(u128::from(due.as_nanos()), exact);
    }
}
