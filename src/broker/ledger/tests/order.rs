//! In which order do messages go out? (G10)

use super::*;

/// G10: whatever the order in which leases come back, they go out in the order of offsets.
#[test]
fn leases_given_back_in_any_order_go_out_in_order() {
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
    for order in orders {
        let mut probe = Probe::pulling(Retry::none(), 4);
        probe.batch('a', 0, 2);
        probe.batch('b', 2, 4);
        let leases = probe.hands_out([(0, 1), (1, 2), (2, 3), (3, 4)]);
        order.iter().for_each(|at| assert!(probe.ledger.on_give_back(leases[*at])));
        probe.counts(|c| (c.entered, c.backlog) = (6, 6));
        probe.hands_out([(0, 1), (1, 2), (2, 3), (3, 4)]);
    }
}

#[test]
fn a_message_that_was_started_goes_out_before_the_backlog_and_alone_wherever_it_was() {
    let mut probe = wide(200);
    let [lease] = probe.hands_out([(1, 201)]);
    assert!(probe.report(lease, 3, vec![(2, Verdict::Release)]) && probe.ledger.on_give_back(lease));
    let [started, rest] = probe.hands_out([(2, 3), (3, 201)]);
    assert!(probe.ledger.on_give_back(started) && probe.ledger.on_give_back(rest));
    probe.hands_out([(2, 3), (3, 201)]);
}

/// G9: a stream's deliveries are single; once they are back, a fast handler gets them by the hundred.
#[test]
fn messages_given_back_one_by_one_are_leased_together_again() {
    let orders: [fn(usize) -> usize; 3] = [|at| at, |at| 9 - at, |at| (at * 7 + 3) % 10];
    for order in orders {
        let mut probe = Probe::pulling(Retry::none(), 10);
        probe.batch('a', 0, 10);
        probe.batch('b', 10, 5);
        let leases: Vec<_> = probe.dispatch().into_iter().map(|(_, id, _)| id).collect();
        (0..10).for_each(|at| assert!(probe.ledger.on_give_back(leases[order(at)])));
        let Queue::Shared { waiting, .. } = &probe.ledger.queue else { panic!("it is shared") };
        let slices = waiting.runs();
        assert_eq!(slices, [(0, 10), (10, 5)]);
    }
}

#[test]
fn one_consumer_sees_publish_order_over_batches_and_reports_in_pieces() {
    let mut probe = Probe::with(Retry::none(), Credit::Handler { prefetch: 16 });
    let (mut seen, mut base) = (Vec::new(), 0);
    for (batch, len) in ('a'..='z').zip([1, 256, 3, 9, 40].into_iter().cycle()) {
        probe.batch(batch, base, len);
        base += u64::from(len);
    }
    loop {
        let leases = probe.dispatch();
        if leases.is_empty() {
            break;
        }
        for (_, id, offsets) in leases {
            let batch_base = probe.ledger.leases[&id].slice.base;
            for offset in offsets {
                seen.push(offset);
                probe.now = probe.now + Duration::from_micros(3);
                assert!(probe.report(id, (offset - batch_base) as u16 + 1, Vec::new()));
            }
        }
    }
    assert!(seen.iter().copied().eq(0..base), "{seen:?}");
}

/// G9: what waits for its backoff holds up nobody, and what is due comes before new work.
#[test]
fn a_retry_lets_others_pass_while_it_waits_and_comes_first_when_it_is_due() {
    let mut probe = Probe::pulling(Retry::fixed(5 * MS), 1);
    probe.batch('a', 0, 4);
    let [lease] = probe.hands_out([(0, 1)]);
    probe.sole(lease, failed());
    let [lease] = probe.hands_out([(1, 2)]);
    probe.sole(lease, Verdict::Ack);
    probe.later(5 * MS);
    let [lease] = probe.hands_out([(0, 1)]);
    probe.sole(lease, Verdict::Ack);
    probe.hands_out([(2, 3)]);
}

/// Without this, a message that fails at once and for ever would be all that a group does.
#[test]
fn a_message_that_is_tried_again_at_once_and_for_ever_holds_up_nobody() {
    for verdict in [failed(), Verdict::Release] {
        let mut probe = Probe::pulling(Retry::immediately().max_attempts(u32::MAX), 1);
        probe.batch('a', 0, 4);
        let mut seen = Vec::new();
        for _ in 0..4 * (RETRIES_IN_A_ROW + 1) {
            let [(_, lease, offsets)] = &probe.dispatch()[..] else { panic!("one lease at a time") };
            seen.push(offsets.start);
            probe.sole(*lease, if offsets.start == 0 { verdict.clone() } else { Verdict::Ack });
        }
        let others: Vec<u64> = seen.iter().copied().filter(|offset| *offset > 0).collect();
        assert_eq!(others, [1, 2, 3], "{verdict:?}: {seen:?}");
        assert_eq!(seen[..5], [0; 5], "a retry that is due comes first all the same");
    }
}
