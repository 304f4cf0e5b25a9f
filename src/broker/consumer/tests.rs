//! Does a group hear what its consumer has to say in the order in which it must count it? (G25)

use crate::broker::settings::TopicSettings;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;

use super::*;
use crate::base::Name;
use crate::broker::Outcome;
use crate::broker::handler::Blocking;
use crate::broker::ledger::Past;
use crate::broker::message::{Batch, Item, Origin};
use crate::broker::order::Order;
use crate::broker::witness::Watched;
use crate::mailbox::mailbox;
use crate::runtime::Rt;
use crate::sim::Sim;

/// What a consumer whose handler fails its one message by a panic says to its group, in order.
fn said_by_one_who_panics() -> Vec<&'static str> {
    let (group, mut heard) = mailbox(1, ());
    let (to, leases) = mailbox(1, ());
    let name = |name| Name::new(name).unwrap();
    let window = Window {
        watched: Watched::default(),
        rt: Rt::new(Sim::new(0)),
        topic: name("t"),
        group: name("g"),
        consumer: ConsumerId(0),
        order: Order::Shared,
    };
    let progress = Arc::new(Progress::default());
    let scope = Scope::of_group(0, Duration::ZERO);
    let seat = ConsumerSeat::new(Arc::new(window), leases, group.downgrade(), progress.clone(), scope);
    let panics = Arc::new(|_: &Message<u8>| -> Outcome { panic!("on purpose") });
    let mut run = Box::pin(seat.run(move || Blocking(panics.clone())));
    assert!((&mut run).now_or_never().is_none(), "it waits for its first lease");
    let ([slot, _], id) = (Slot::both(), LeaseId::new(7));
    let batch = Arc::new(Batch::new(
        &Origin::new(name("t"), &TopicSettings::default()),
        0,
        vec![Item::new(1_u8)],
        None,
    ));
    progress.put(slot, id, 0, 1);
    let lease = Lease { id, batch, from: 0, to: 1, picked: None, past: Past::default(), slot, held: None };
    assert!(to.try_send(lease).is_ok());
    assert!((&mut run).now_or_never().is_none(), "it waits for another");

    let mut cx = Context::from_waker(std::task::Waker::noop());
    let next = || match heard.poll_next(&mut cx) {
        Poll::Ready(Event::Control(word)) => Some(word),
        _ => None,
    };
    let word = |word| match word {
        GroupWord::From(FromConsumer::News(_, ConsumerNews::Ready)) => "ready",
        GroupWord::From(FromConsumer::News(_, ConsumerNews::Rebuilt)) => "rebuilt",
        GroupWord::From(FromConsumer::Report(report)) if report.exceptions.len() == 1 => "failed",
        _ => "something else",
    };
    std::iter::from_fn(next).map(word).collect()
}

/// Else another consumer could settle the message in between, and the counts show a failure without its restart.
#[test]
fn a_restart_is_told_before_the_failure_that_made_it_necessary() {
    assert_eq!(said_by_one_who_panics(), ["ready", "rebuilt", "failed"]);
}
