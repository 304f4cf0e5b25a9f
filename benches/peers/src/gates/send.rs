//! What does it cost to send a message to an actor, and to an actor of kameo, ractor or xtra?
//!
//! One task sends, the actor adds up; capacity 64. ractor has no bounded mailbox, so its sender gives way after each
//! 64 messages by itself. kameo and ractor run on tokio only. Ours is held against the fastest.

use std::hint::black_box;

use callboard::actor::{Actor, Context};
use callboard::base::Fault;
use xtra::prelude as x;

use super::Small;
use crate::bench::{Bench, Meter, Side, side};
use crate::place::{Here, PLACES, give_way};

const MESSAGES: usize = 100_000;
const CAPACITY: usize = 64;

pub fn run(bench: &mut Bench) {
    for place in PLACES {
        let mut theirs = vec![xtra()];
        if place.is_tokio() {
            theirs.extend([kameo(), ractor()]);
        }
        bench.faster("send to an actor", place, 4.0, &ours(), &theirs);
    }
}

pub struct Sum(pub u64);

impl Actor for Sum {
    type Message = Small;
    async fn handle(&mut self, message: Small, _: &mut Context<Small>) -> Result<(), Fault> {
        self.0 += black_box(message[0]);
        Ok(())
    }
}

fn message(number: usize) -> Small {
    [number as u64, 1, 2, 3]
}

fn ours() -> Side {
    side("callboard", |here: Here| async move {
        let address =
            here.system().actor("sum").expect("a name").capacity(CAPACITY).spawn(Sum(0)).expect("an actor");
        let meter = Meter::start();
        let sender = address.clone();
        here.spawn(async move {
            for number in 0..MESSAGES {
                sender.send(message(number)).await.expect("an actor");
            }
        })
        .await;
        address.stop().await;
        meter.per(MESSAGES)
    })
}

#[derive(x::Actor)]
struct XtraSum(u64);

impl x::Handler<Small> for XtraSum {
    type Return = ();
    async fn handle(&mut self, message: Small, _: &mut x::Context<XtraSum>) {
        self.0 += black_box(message[0]);
    }
}

fn xtra() -> Side {
    side("xtra", |here: Here| async move {
        let (address, mailbox) = x::Mailbox::bounded(CAPACITY);
        let actor = here.spawn(xtra::run(mailbox, XtraSum(0)));
        let meter = Meter::start();
        here.spawn(async move {
            for number in 0..MESSAGES {
                // Accepted, not handled: as ours.
                drop(address.send(message(number)).detach().await.expect("an actor"));
            }
        })
        .await;
        actor.await;
        meter.per(MESSAGES)
    })
}

#[derive(kameo::Actor)]
struct KameoSum(u64);

impl kameo::message::Message<Small> for KameoSum {
    type Reply = ();
    async fn handle(&mut self, message: Small, _: &mut kameo::message::Context<KameoSum, ()>) {
        self.0 += black_box(message[0]);
    }
}

fn kameo() -> Side {
    use kameo::actor::Spawn as _;
    side("kameo", |here: Here| async move {
        let actor = KameoSum::spawn_with_mailbox(KameoSum(0), kameo::mailbox::bounded(CAPACITY));
        let meter = Meter::start();
        let sender = actor.clone();
        here.spawn(async move {
            for number in 0..MESSAGES {
                sender.tell(message(number)).await.expect("an actor");
            }
        })
        .await;
        actor.stop_gracefully().await.expect("an actor");
        actor.wait_for_shutdown().await;
        meter.per(MESSAGES)
    })
}

struct RactorSum;

impl ractor::Actor for RactorSum {
    type Msg = Small;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ractor::ActorRef<Small>, (): ()) -> Result<u64, ractor::ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ractor::ActorRef<Small>,
        message: Small,
        sum: &mut u64,
    ) -> Result<(), ractor::ActorProcessingErr> {
        *sum += black_box(message[0]);
        Ok(())
    }
}

fn ractor() -> Side {
    side("ractor", |here: Here| async move {
        let (actor, ended) = ractor::Actor::spawn(None, RactorSum, ()).await.expect("an actor");
        let meter = Meter::start();
        let sender = actor.clone();
        here.spawn(async move {
            for number in 0..MESSAGES {
                sender.cast(message(number)).expect("an actor");
                if number % CAPACITY == 0 {
                    give_way().await;
                }
            }
        })
        .await;
        actor.drain().expect("an actor");
        ended.await.expect("an actor that ends well");
        meter.per(MESSAGES)
    })
}
