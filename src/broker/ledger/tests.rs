//! Does a message go where the state table says, from each place and for each word?

mod order;

use super::*;
use crate::broker::KeyHash;
use crate::broker::bits::Bits;
use std::sync::Arc;
use std::time::Duration;

/// In a group that is shared nobody asks.
impl BatchHandle for char {
    fn key(&self, _: u16) -> KeyHash {
        KeyHash::default()
    }
}

const MS: Duration = Duration::from_millis(1);

/// A ledger with consumers, whose words it lets a test say shortly. Batches are named by a letter.
struct Probe {
    ledger: Ledger<char>,
    now: Moment,
    effects: Vec<Effect<char>>,
}

impl Probe {
    /// With one pulled stream of this prefetch, so that each message is a lease.
    fn pulling(retry: Retry, prefetch: u32) -> Probe {
        Probe::with(retry, Credit::Pull { prefetch })
    }

    fn with(retry: Retry, credit: Credit) -> Probe {
        let mut probe = Probe {
            ledger: Ledger::new(&GroupSettings { retry, ..GroupSettings::default() }),
            now: Moment::ZERO,
            effects: Vec::new(),
        };
        probe.join(0, credit);
        probe
    }

    fn join(&mut self, id: u32, credit: Credit) {
        self.ledger.on_consumer(ConsumerId(id), credit);
        self.ledger.on_ready(ConsumerId(id), true);
    }

    fn batch(&mut self, batch: char, base: u64, to: u16) {
        self.ledger.on_batch(Slice::new(batch, base, 0, to));
    }

    /// Dispatches. Returns the consumer, the lease's id and its offsets, of each new lease.
    fn dispatch(&mut self) -> Vec<(u32, LeaseId, std::ops::Range<u64>)> {
        let mut effects = Vec::new();
        self.ledger.dispatch(self.now, &mut effects);
        let lease = |effect| match effect {
            Effect::Lease { consumer, id, slice, .. } => {
                (consumer.0, id, slice.first()..slice.base + u64::from(slice.to))
            }
            other => panic!("a dispatch hands out, and nothing else: {other:?}"),
        };
        effects.into_iter().map(lease).collect()
    }

    /// Dispatches, and expects leases of the offsets from and up to these.
    #[track_caller]
    fn hands_out<const N: usize>(&mut self, offsets: [(u64, u64); N]) -> [LeaseId; N] {
        let leases = self.dispatch();
        let found: Vec<_> = leases.iter().map(|(_, _, offsets)| (offsets.start, offsets.end)).collect();
        assert_eq!(found, offsets);
        std::array::from_fn(|at| leases[at].1)
    }

    fn report(&mut self, lease: LeaseId, upto: u16, exceptions: Vec<(u16, Verdict)>) -> bool {
        self.ledger.on_report(Report { lease, upto, exceptions }, self.now, 0, &mut self.effects)
    }

    fn sole(&mut self, lease: LeaseId, verdict: Verdict) -> bool {
        self.ledger.on_sole(lease, verdict, self.now, 0, &mut self.effects)
    }

    fn later(&mut self, by: Duration) {
        self.now = self.now + by;
        self.ledger.on_alarm(self.now, &mut self.effects);
    }

    #[track_caller]
    fn counts(&self, change: impl Fn(&mut Counts)) {
        let mut expected = Counts::default();
        change(&mut expected);
        assert_eq!(self.ledger.counts(), expected);
    }

    fn effects(&mut self) -> Vec<Effect<char>> {
        std::mem::take(&mut self.effects)
    }
}

fn settled(base: u64, from: u16, to: u16) -> Effect<char> {
    Effect::Settled { base, which: Bits::range(from, to) }
}

fn failed() -> Verdict {
    Verdict::failed("no")
}

fn past(attempts: u32, failures: u32, error: Option<&str>) -> Past {
    Past { attempts, failures, error: error.map(Arc::from), ..Past::default() }
}

#[test]
fn a_new_message_waits_in_the_backlog_and_goes_out_when_a_consumer_is_ready() {
    let mut probe = Probe::pulling(Retry::none(), 2);
    probe.ledger.on_ready(ConsumerId(0), false);
    probe.batch('a', 0, 3);
    probe.hands_out([]);
    probe.counts(|c| (c.entered, c.backlog) = (3, 3));
    probe.ledger.on_ready(ConsumerId(0), true);
    probe.hands_out([(0, 1), (1, 2)]);
    probe.counts(|c| (c.entered, c.backlog, c.in_flight) = (3, 1, 2));
}

#[test]
fn an_empty_batch_is_nothing() {
    let mut probe = Probe::pulling(Retry::none(), 2);
    probe.batch('a', 0, 0);
    probe.hands_out([]);
    probe.counts(|_| ());
}

#[test]
fn each_verdict_moves_a_held_message_where_the_table_says() {
    type Arrow = (Verdict, fn(&mut Counts), fn() -> Vec<Effect<char>>);
    let retry_after = |after| Verdict::Retry { error: "no".into(), after: Some(after) };
    let arrows: [Arrow; 8] = [
        (Verdict::Ack, |c| c.acked = 1, || vec![settled(7, 0, 1)]),
        (Verdict::Drop, |c| c.dropped = 1, || vec![settled(7, 0, 1)]),
        (Verdict::Release, |c| c.ready = 1, Vec::new),
        (Verdict::NoRoom { error: "full".into() }, |c| (c.no_room, c.delayed) = (1, 1), Vec::new),
        (failed(), |c| (c.failures, c.delayed) = (1, 1), Vec::new),
        (retry_after(9 * MS), |c| (c.failures, c.delayed) = (1, 1), Vec::new),
        (retry_after(Duration::ZERO), |c| (c.failures, c.ready) = (1, 1), Vec::new),
        (
            Verdict::Dead { reason: "bad".into() },
            |c| c.parked = 1,
            || {
                let slice = Slice::new('a', 7, 0, 1);
                vec![Effect::Dead {
                    slice,
                    past: past(1, 0, None),
                    reason: DeadReason::Rejected("bad".into()),
                }]
            },
        ),
    ];
    for (verdict, change, effects) in arrows {
        let mut probe = Probe::pulling(Retry::fixed(5 * MS), 1);
        probe.batch('a', 7, 1);
        let [lease] = probe.hands_out([(7, 8)]);
        assert!(probe.sole(lease, verdict.clone()), "{verdict:?}");
        assert_eq!(probe.effects(), effects(), "{verdict:?}");
        probe.counts(|c| {
            c.entered = 1;
            change(c);
        });
        assert!(!probe.sole(lease, Verdict::Ack), "the lease is over after {verdict:?}");
    }
}

#[test]
fn a_delayed_message_is_ready_at_its_moment_and_not_before() {
    let mut probe = Probe::pulling(Retry::fixed(5 * MS), 1);
    probe.batch('a', 0, 1);
    let [lease] = probe.hands_out([(0, 1)]);
    probe.sole(lease, failed());
    assert_eq!(probe.ledger.next_alarm(), Some(Moment::ZERO + 5 * MS));
    probe.later(4 * MS);
    probe.hands_out([]);
    probe.later(MS);
    assert_eq!(probe.ledger.next_alarm(), None);
    probe.hands_out([(0, 1)]);
    probe.counts(|c| (c.entered, c.in_flight, c.failures) = (1, 1, 1));
}

#[test]
fn a_message_that_a_handler_puts_off_waits_as_long_as_it_said_and_not_as_the_backoff_says() {
    let mut probe = Probe::pulling(Retry::fixed(5 * MS), 1);
    probe.batch('a', 0, 1);
    let [lease] = probe.hands_out([(0, 1)]);
    probe.sole(lease, Verdict::Retry { error: "later".into(), after: Some(9 * MS) });
    assert_eq!(probe.ledger.next_alarm(), Some(Moment::ZERO + 9 * MS));
}

/// G17: no room is no failure, whatever the group's backoff is; the wait grows with each time in a row.
#[test]
fn a_message_that_found_no_room_waits_a_little_longer_each_time_and_is_never_given_up() {
    let mut probe = Probe::pulling(Retry::fixed(5 * MS).max_attempts(2), 1);
    probe.batch('a', 0, 1);
    let mut waits = Vec::new();
    for at in 0..12 {
        let [lease] = probe.hands_out([(0, 1)]);
        let verdict = if at == 10 { failed() } else { Verdict::NoRoom { error: "full".into() } };
        assert!(probe.sole(lease, verdict));
        assert_eq!(probe.effects(), []);
        let wait = probe.ledger.next_alarm().unwrap().since(probe.now);
        waits.push(wait.as_millis());
        probe.later(wait);
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 5, 10], "a failure breaks the row");
    assert_eq!((probe.ledger.counts().no_room, probe.ledger.counts().failures), (11, 1));
}

/// G11: dead-lettered after exactly `max_attempts` failures; releases between them count nothing (G8).
#[test]
fn max_attempts_counts_failures_exactly_and_attempts_count_all_handlings() {
    for most in 1..6 {
        let mut probe = Probe::pulling(Retry::immediately().max_attempts(most), 1);
        probe.batch('a', 0, 1);
        for failures in 0..most {
            let [lease] = probe.hands_out([(0, 1)]);
            assert!(probe.sole(lease, Verdict::Release));
            let [lease] = probe.hands_out([(0, 1)]);
            assert!(probe.ledger.on_give_back(lease), "a give-back is no handling");
            let [lease] = probe.hands_out([(0, 1)]);
            assert_eq!(probe.effects(), [], "alive after {failures} failures of {most}");
            assert!(probe.sole(lease, Verdict::failed(format!("failure {failures}"))));
        }
        let slice = Slice::new('a', 0, 0, 1);
        let error = format!("failure {}", most - 1);
        let past = past(2 * most, most, Some(&error));
        let reason = DeadReason::TooManyAttempts;
        assert_eq!(probe.effects(), [Effect::Dead { slice: slice.clone(), past, reason }]);
        probe.counts(|c| {
            (c.entered, c.parked, c.failures) = (1, 1, most.into());
            c.redeliveries = 2 * u64::from(most) - 1;
        });
        probe.ledger.on_dead_lettered(&slice, &Past::default(), &mut probe.effects);
        assert_eq!(probe.effects(), [settled(0, 0, 1)]);
        assert_eq!((probe.ledger.counts().parked, probe.ledger.counts().dead), (0, 1));
    }
}

/// G8, G11, G25: a redriven message enters again, begins at the first attempt, and has a place of its own.
#[test]
fn a_redriven_message_is_new_but_for_its_mark_and_settles_on_its_own_account() {
    type End = (fn(&mut Probe, LeaseId), fn(&mut Counts));
    let ends: [End; 3] = [
        (|probe, lease| assert!(probe.sole(lease, Verdict::Ack)), |c| c.acked = 1),
        (|probe, lease| assert!(probe.sole(lease, Verdict::Drop)), |c| c.dropped = 1),
        (|probe, lease| assert!(probe.report(lease, 4, Vec::new())), |c| c.acked = 1),
    ];
    for (end, change) in ends {
        let mut probe = Probe::pulling(Retry::immediately().max_attempts(2), 2);
        probe.batch('b', 20, 1);
        probe.ledger.on_redriven(Slice::new('a', 7, 3, 4), 5);
        let mut effects = Vec::new();
        probe.ledger.dispatch(probe.now, &mut effects);
        let Some(Effect::Lease { slice, past, id, .. }) = effects.first() else { panic!("{effects:?}") };
        let marked = Past { redrives: 5, ..Past::default() };
        assert_eq!((slice.first(), past), (10, &marked), "it comes before the backlog");
        assert!(probe.ledger.on_give_back(*id));
        probe.counts(|c| (c.entered, c.redriven, c.ready, c.in_flight) = (2, 1, 1, 1));
        let [lease] = probe.hands_out([(10, 11)]);
        assert!(probe.sole(lease, failed()) && probe.effects().is_empty(), "its failures began anew");
        let [lease] = probe.hands_out([(10, 11)]);
        end(&mut probe, lease);
        assert_eq!(probe.effects(), [Effect::SettledAgain { base: 7, at: 3 }]);
        probe.counts(|c| {
            (c.entered, c.redriven, c.in_flight, c.failures, c.redeliveries) = (2, 1, 1, 1, 1);
            change(c);
        });
    }
}

#[test]
fn a_redriven_message_that_is_given_up_again_is_settled_on_its_own_account() {
    let mut probe = Probe::pulling(Retry::none(), 1);
    let slice = Slice::new('a', 7, 3, 4);
    probe.ledger.on_redriven(slice.clone(), 1);
    let [lease] = probe.hands_out([(10, 11)]);
    assert!(probe.sole(lease, failed()));
    let past = Past { redrives: 1, ..past(1, 1, Some("no")) };
    let reason = DeadReason::TooManyAttempts;
    assert_eq!(probe.effects(), [Effect::Dead { slice: slice.clone(), past: past.clone(), reason }]);
    probe.ledger.on_dead_lettered(&slice, &past, &mut probe.effects);
    assert_eq!(probe.effects(), [Effect::SettledAgain { base: 7, at: 3 }]);
    probe.counts(|c| (c.entered, c.redriven, c.dead, c.failures) = (1, 1, 1, 1));
}

#[test]
fn a_report_acks_all_but_its_exceptions_in_runs() {
    let mut probe = wide(10);
    let [lease] = probe.hands_out([(1, 11)]);
    let exceptions = vec![(2, Verdict::Drop), (4, failed()), (5, Verdict::Ack)];
    assert!(probe.report(lease, 8, exceptions));
    let runs = [settled(0, 1, 2), settled(0, 2, 3), settled(0, 3, 4), settled(0, 5, 6), settled(0, 6, 8)];
    assert_eq!(probe.effects(), runs);
    assert!(probe.report(lease, 11, vec![(10, Verdict::Drop)]));
    assert_eq!(probe.effects(), [settled(0, 8, 10), settled(0, 10, 11)]);
    probe.counts(|c| {
        (c.entered, c.acked, c.dropped, c.failures, c.delayed) = (11, 8, 2, 1, 1);
    });
    assert!(!probe.report(lease, 11, Vec::new()), "it is over");
}

#[test]
fn a_report_that_repeats_what_is_known_changes_nothing() {
    let mut probe = wide(10);
    let [lease] = probe.hands_out([(1, 11)]);
    assert!(probe.report(lease, 5, Vec::new()));
    let counts = probe.ledger.counts();
    probe.effects();
    for upto in [0, 1, 4, 5] {
        assert!(probe.report(lease, upto, Vec::new()));
    }
    assert_eq!((probe.ledger.counts(), probe.effects()), (counts, Vec::new()));
    assert!(probe.report(lease, u16::MAX, Vec::new()), "and one behind the end means the end");
    assert_eq!(probe.ledger.counts().acked, 11);
}

/// One handler that has shown a pace of zero, so that its leases are as large as can be, and `len` messages.
fn wide(len: u16) -> Probe {
    let mut probe = Probe::with(Retry::fixed(5 * MS), Credit::Handler { prefetch: 512 });
    probe.batch('a', 0, len + 1);
    let [lease] = probe.hands_out([(0, 1)]);
    assert!(probe.report(lease, 1, Vec::new()));
    assert_eq!(probe.effects(), [settled(0, 0, 1)]);
    probe
}

#[test]
fn a_give_back_returns_what_is_not_reported_to_the_head_of_the_backlog() {
    let mut probe = wide(10);
    let [lease] = probe.hands_out([(1, 11)]);
    probe.batch('b', 11, 2);
    assert!(probe.report(lease, 4, vec![(3, failed())]));
    assert!(probe.ledger.on_give_back(lease));
    probe.counts(|c| {
        (c.entered, c.acked, c.failures, c.delayed, c.backlog) = (13, 3, 1, 1, 9);
    });
    assert!(!probe.ledger.on_give_back(lease) && !probe.report(lease, 11, Vec::new()));
    assert_eq!(probe.ledger.counts().refused_reports, 2);
    probe.hands_out([(4, 11), (11, 13)]);
}

#[test]
fn words_on_a_lease_that_is_over_are_counted_and_change_nothing() {
    let mut probe = Probe::pulling(Retry::none(), 1);
    probe.batch('a', 0, 1);
    let [old] = probe.hands_out([(0, 1)]);
    assert!(probe.ledger.on_give_back(old));
    let [new] = probe.hands_out([(0, 1)]);
    assert_ne!(old, new);
    assert!(
        !probe.report(old, 1, Vec::new()) && !probe.sole(old, failed()) && !probe.ledger.on_give_back(old)
    );
    probe.counts(|c| (c.entered, c.in_flight, c.refused_reports) = (1, 1, 2));
    assert!(probe.sole(new, Verdict::Ack));
    assert_eq!(probe.effects(), [settled(0, 0, 1)]);
}

/// A pulled delivery may outlive its stream.
#[test]
fn a_lease_of_a_consumer_that_is_gone_can_still_be_reported_and_given_back() {
    let mut probe = Probe::pulling(Retry::none(), 2);
    probe.batch('a', 0, 2);
    let [first, second] = probe.hands_out([(0, 1), (1, 2)]);
    probe.ledger.on_gone(ConsumerId(0));
    assert!(probe.sole(first, Verdict::Ack) && probe.ledger.on_give_back(second));
    probe.counts(|c| (c.entered, c.acked, c.backlog) = (2, 1, 1));
    probe.hands_out([]);
    probe.join(1, Credit::Pull { prefetch: 2 });
    probe.hands_out([(1, 2)]);
}

#[test]
fn a_stream_that_returns_has_its_whole_credit_and_keeps_it() {
    let mut probe = Probe::pulling(Retry::none(), 2);
    probe.batch('a', 0, 6);
    let old = probe.hands_out([(0, 1), (1, 2)]);
    probe.ledger.on_gone(ConsumerId(0));
    probe.join(1, Credit::Pull { prefetch: 2 });
    probe.hands_out([(2, 3), (3, 4)]);
    old.into_iter().for_each(|lease| assert!(probe.sole(lease, Verdict::Ack)));
    probe.hands_out([]);
    assert_eq!(probe.ledger.held(ConsumerId(1)), Some((2, 2)));
}

#[test]
fn what_is_put_off_for_ever_is_never_due_and_upsets_nobody() {
    let mut probe = Probe::pulling(Retry::default(), 1);
    probe.batch('a', 0, 2);
    let [lease] = probe.hands_out([(0, 1)]);
    probe.later(Duration::from_secs(1));
    probe.sole(lease, Verdict::Retry { error: "later".into(), after: Some(Duration::MAX) });
    assert_eq!(probe.ledger.next_alarm(), Some(Moment::MAX));
    probe.later(Duration::from_secs(1_000_000));
    probe.hands_out([(1, 2)]);
}

/// Jitter is there so that what failed together does not come back together.
#[test]
fn messages_that_fail_in_one_report_come_back_apart() {
    let retry = Retry::new(crate::supervise::Backoff::fixed(Duration::from_secs(1)).jitter(0.5));
    let mut probe = Probe::with(retry, Credit::Handler { prefetch: 512 });
    probe.batch('a', 0, 101);
    let [lease] = probe.hands_out([(0, 1)]);
    assert!(probe.report(lease, 1, Vec::new()));
    let [lease] = probe.hands_out([(1, 101)]);
    let report = Report { lease, upto: 101, exceptions: (1..101).map(|at| (at, failed())).collect() };
    probe.ledger.on_report(report, probe.now, 0x1234_5678_9abc_def0, &mut probe.effects);
    let mut dues = Vec::new();
    while let Some(due) = probe.ledger.next_alarm() {
        let before = probe.ledger.counts().delayed;
        probe.ledger.on_alarm(due, &mut probe.effects);
        dues.push(before - probe.ledger.counts().delayed);
    }
    assert!(dues.len() > 90, "{} moments for 100 messages", dues.len());
}
