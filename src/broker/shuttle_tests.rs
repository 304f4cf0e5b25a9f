//! Is there a schedule of threads in which a message is both started and taken back, or a delivery decided twice?
//!
//! How to run it, and what it cannot show: `mailbox/shuttle_tests.rs`. Whole brokers: `ends_shuttle_tests.rs`.
#![cfg(callboard_shuttle)]

use crate::broker::settings::TopicSettings;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use shuttle::thread;

use super::bits::Bits;
use super::blocked::{Waits, Watch};
use super::claims::Claims;
use super::core::BrokerCore;
use super::lease::{Handling, Held, LeaseId, Progress, Slot};
use super::message::{Batch, Item, Origin};
use super::room::Lacks;
use super::witness::Watched;
use crate::base::Name;
use crate::base::sync::explore;
use crate::mailbox::{Event, SendSink, Sender, mailbox};
use crate::runtime::{Explored, Rt};

/// The consumer at work: starts message after message of the lease, and rests in between. Answers what it started.
fn work_off(progress: &Progress, slot: Slot, lease: LeaseId) -> Vec<Handling> {
    let mut begun = Vec::new();
    while let Some(handling) = progress.begin(slot, lease, None) {
        begun.push(handling);
        thread::yield_now();
        progress.rest();
    }
    begun
}

#[test]
fn a_message_is_begun_or_taken_back_and_never_both_and_none_is_forgotten() {
    explore(|| {
        let ([slot, _], lease) = (Slot::both(), LeaseId::new(7));
        let progress = Arc::new(Progress::default());
        progress.put(slot, lease, 0, 3);
        let consumer = {
            let progress = progress.clone();
            thread::spawn(move || work_off(&progress, slot, lease))
        };
        let takers = [(); 2].map(|()| {
            let progress = progress.clone();
            thread::spawn(move || progress.take_back(slot, lease))
        });
        let looks = [progress.busy(), progress.busy()];
        let begun = consumer.join().unwrap();
        let taken: Vec<u16> = takers.into_iter().filter_map(|taker| taker.join().unwrap()).collect();
        match taken[..] {
            [] => assert_eq!(begun.len(), 3, "nobody has the rest"),
            [from] => {
                assert_eq!(begun.len(), usize::from(from), "those before were started, those after were not")
            }
            _ => panic!("both took the same: {taken:?}"),
        }
        assert_eq!(progress.started(slot, lease).map(usize::from), Some(begun.len()));
        assert!(
            looks.iter().flatten().all(|seen| begun.contains(seen)),
            "a look sees what goes on, as it is called"
        );
        assert_eq!(progress.busy(), None);
    });
}

/// G17: a sink in line hears of it.
#[test]
fn a_topic_that_looks_for_room_finds_what_was_let_go_of_or_is_told() {
    explore(|| {
        let (lacks, claims) = (Arc::<Lacks>::default(), Arc::new(Claims::new(1)));
        assert!(claims.claim(Bits::range(0, 1)).is_empty());
        let group = {
            let (lacks, claims) = (lacks.clone(), claims.clone());
            thread::spawn(move || {
                claims.let_go(Bits::range(0, 1));
                lacks.is_to_be_told()
            })
        };
        lacks.set(true);
        let found = claims.comes_free(0, 1);
        assert!(group.join().unwrap() || found);
    });
}

#[test]
fn whoever_is_late_for_a_lease_leaves_the_next_one_in_its_slot_alone() {
    explore(|| {
        let ([slot, _], old, new) = (Slot::both(), LeaseId::new(7), LeaseId::new(8));
        let progress = Arc::new(Progress::default());
        progress.put(slot, old, 0, 2);
        let late = [0, 1].map(|what| {
            let progress = progress.clone();
            thread::spawn(move || match what {
                0 => drop(work_off(&progress, slot, old)),
                _ => drop(progress.take_back(slot, old)),
            })
        });
        progress.put(slot, new, 4, 6);
        for one in late {
            one.join().unwrap();
        }
        assert_eq!(progress.started(slot, old), None);
        assert_eq!(work_off(&progress, slot, new).len(), 2);
    });
}

#[test]
fn a_lease_that_comes_while_the_consumer_rests_is_not_lost() {
    explore(|| {
        let ([first, second], one, two) = (Slot::both(), LeaseId::new(7), LeaseId::new(8));
        let progress = Arc::new(Progress::default());
        progress.put(first, one, 0, 2);
        let consumer = {
            let progress = progress.clone();
            thread::spawn(move || work_off(&progress, first, one))
        };
        progress.put(second, two, 0, 3);
        assert_eq!(consumer.join().unwrap().len(), 2);
        assert_eq!(work_off(&progress, second, two).len(), 3);
    });
}

#[test]
fn of_an_ack_and_a_deadline_one_wins_and_an_extension_that_did_is_kept() {
    explore(|| {
        let held = Arc::new(Held::default());
        assert!(held.hold());
        let seen = held.look().unwrap();
        let [acked, extended, expired] = [0, 1, 2].map(|who| {
            let held = held.clone();
            thread::spawn(move || match who {
                0 => held.settle(),
                1 => held.extend(),
                _ => held.expire(seen),
            })
        });
        let (acked, extended, expired) =
            (acked.join().unwrap(), extended.join().unwrap(), expired.join().unwrap());
        assert!(acked != expired, "acked: {acked}, expired: {expired}");
        assert!(!(extended && expired), "told that the deadline was put off, and it was not");
        assert!(!held.settle() && !held.extend() && held.look().is_none(), "decided once and for all");
    });
}

#[test]
fn a_delivery_is_handed_out_or_taken_back_by_one() {
    explore(|| {
        let held = Arc::new(Held::default());
        let stream = {
            let held = held.clone();
            thread::spawn(move || held.hold())
        };
        let takers = [(); 2].map(|()| {
            let held = held.clone();
            thread::spawn(move || held.take_back())
        });
        let taken = takers.into_iter().map(|taker| usize::from(taker.join().unwrap())).sum::<usize>();
        assert_eq!(taken + usize::from(stream.join().unwrap()), 1);
    });
}

#[test]
fn a_delivery_that_the_group_withdraws_is_settled_or_the_groups_again() {
    explore(|| {
        let held = Arc::new(Held::default());
        let consumer = {
            let held = held.clone();
            thread::spawn(move || {
                if !held.hold() {
                    return false;
                }
                held.extend();
                held.settle()
            })
        };
        // As `Members::close_all` does.
        let withdrawn = held.take_back() || held.look().is_some_and(|seen| held.expire(seen));
        let settled = consumer.join().unwrap();
        assert!(!(withdrawn && settled), "both have it");
        assert!(withdrawn || settled, "nobody has it");
    });
}

#[test]
fn a_broker_ends_once_and_never_goes_back() {
    explore(|| {
        let core = BrokerCore::new(Rt::new(Explored::still()), Watched::default(), None);
        let [drains, closes] = [false, true].map(|close| {
            [(); 2].map(|()| {
                let core = core.clone();
                thread::spawn(move || if close { core.close() } else { core.drain() })
            })
        });
        let watcher = {
            let core = core.clone();
            thread::spawn(move || {
                // Asked in the order in which they come true.
                let was_closed = core.is_closed();
                assert!(!was_closed || (core.is_closed() && !core.is_draining() && !core.is_open()));
                let was_draining = core.is_draining();
                assert!(!was_draining || !core.is_open());
            })
        };
        let count = |threads: [thread::JoinHandle<bool>; 2]| {
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
        };
        assert!(count(drains) <= 1, "two began the drain");
        assert_eq!(count(closes), 1, "one closed it");
        watcher.join().unwrap();
        assert!(core.is_closed());
    });
}

#[test]
fn of_several_that_begin_to_wait_one_tells_the_topic() {
    explore(|| {
        let waits = Arc::new(Waits::default());
        let raised = [(); 3].map(|()| {
            let waits = waits.clone();
            thread::spawn(move || waits.raise())
        });
        assert_eq!(raised.map(|one| one.join().unwrap()).iter().filter(|told| **told).count(), 1);
    });
}

/// Joins the line as a publisher does, until what it answers is dropped.
fn join_line(tx: &Sender<u8, ()>, waits: &Waits) -> SendSink<u8, (), ()> {
    let mut sink = tx.sink();
    assert!(sink.poll_reserve(0, &mut Context::from_waker(Waker::noop())).is_pending());
    if waits.raise() {
        tx.control(()).unwrap();
    }
    sink
}

#[test]
fn nobody_in_line_is_unseen_when_the_watch_lowers_its_flag() {
    explore(|| {
        let waits = Arc::<Waits>::default();
        let mut watch = Watch::new(Rt::new(Explored::leaping()), waits.clone());
        let (tx, mut rx) = mailbox::<u8, (), ()>(1, ());
        tx.try_send(0).unwrap();
        let [leaves, stays] = [true, false].map(|leaves| {
            let (tx, waits) = (tx.clone(), waits.clone());
            thread::spawn(move || Some(join_line(&tx, &waits)).filter(|_| !leaves))
        });
        let mut look = |watch: &mut Watch| {
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(event) = rx.poll_next(&mut cx) {
                if let Event::Control(()) = event {
                    watch.on_waits();
                }
            }
            watch.poll(&mut cx, || rx.anyone_waits());
        };
        for _ in 0..3 {
            look(&mut watch);
            thread::yield_now();
        }
        leaves.join().unwrap();
        let _in_line = stays.join().unwrap();
        look(&mut watch);
        assert!(watch.is_blocked(), "somebody waits, and the topic does not know");
    });
}

#[test]
fn what_is_alive_of_a_topic_is_counted_whoever_drops_it() {
    explore(|| {
        let origin = Origin::new(Name::new("t").unwrap(), &TopicSettings::default());
        let batch = |base| Arc::new(Batch::new(&origin, base, vec![Item::new(1), Item::new(2)], None));
        let kept = batch(0);
        let keepers = [kept.clone(), batch(2)].map(|batch| thread::spawn(move || drop(batch)));
        drop(batch(4));
        for keeper in keepers {
            keeper.join().unwrap();
        }
        assert_eq!(origin.alive(), 2);
        drop(kept);
        assert_eq!(origin.alive(), 0);
    });
}
