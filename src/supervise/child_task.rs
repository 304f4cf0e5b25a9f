//! The task of a supervised actor: one incarnation after the other, as ordered.

use std::pin::pin;

use tracing::warn;

use super::child::ChildId;
use super::words::{Boss, Event, Gone, Order};
use crate::actor::{Actor, Address, Lived, Seat};
use crate::base::catch;

/// Lives incarnations of one actor, on one mailbox.
///
/// Invariant: the factory is dropped before the seat, whose drop tells everybody that all is over.
pub(super) struct ChildTask<A: Actor> {
    pub(super) make: Box<dyn FnMut() -> A + Send>,
    pub(super) seat: Seat<A::Message>,
    /// Why kept: a child lives until its supervisor ends it, whether or not somebody else has its address.
    pub(super) address: Address<A::Message>,
    pub(super) orders: async_channel::Receiver<Order>,
    pub(super) boss: Boss,
    pub(super) keep_mailbox: bool,
}

impl<A: Actor> ChildTask<A> {
    pub(super) async fn run(mut self) {
        let mut last = Lived::NOT_YET;
        let mut open = true;
        let mut dropped = 0;
        let asked_by = loop {
            match self.next_order(open.then_some(&last)).await {
                Some(Order::Start(id, incarnation)) => {
                    self.seat.begin(incarnation, &last);
                    last = self.live(id).await;
                    open = false;
                    dropped += self.clean_up();
                    self.boss.tell(Event::Exited(id, last.exit.clone()));
                }
                Some(Order::Open) => {
                    self.seat.open(&last);
                    last.unhandled = 0;
                    open = true;
                }
                Some(Order::Rest) => {
                    self.seat.rest(&last);
                    open = false;
                }
                Some(Order::Close(id)) => break Some(id),
                // The supervisor was dropped, by a runtime that shuts down.
                None => break None,
            }
        };
        last.unhandled += dropped;
        self.close(asked_by, last);
    }

    /// Waits for an order. `open` is the last end, if those who stop the actor meanwhile are to be told that.
    async fn next_order(&mut self, open: Option<&Lived>) -> Option<Order> {
        let mut order = pin!(self.orders.recv());
        std::future::poll_fn(|cx| {
            self.seat.poll_idle(open, cx);
            order.as_mut().poll(cx).map(Result::ok)
        })
        .await
    }

    async fn live(&mut self, id: ChildId) -> Lived {
        let (make, boss) = (&mut self.make, &self.boss);
        self.seat.live(make, || boss.tell(Event::Started(id))).await
    }

    /// Drops what an incarnation left in the mailbox, if that is wanted, and counts it.
    fn clean_up(&mut self) -> usize {
        if self.keep_mailbox {
            return 0;
        }
        let dropped = self.seat.empty();
        if dropped > 0 {
            let child = self.address.name();
            warn!(name: "mailbox_cleared", target: "callboard::supervise", %child, dropped,
                "what waited for the child was dropped with it");
        }
        dropped
    }

    fn close(self, asked_by: Option<ChildId>, last: Lived) {
        let ChildTask { make, seat, address, boss, .. } = self;
        // Why caught: what the factory owns is the user's, and its drop may panic.
        drop(catch(move || drop(make)));
        drop(address);
        let ended = seat.vacate(last);
        if let Some(id) = asked_by {
            boss.tell(Event::Gone(id, Gone { ended, stuck: Vec::new() }));
        }
    }
}
