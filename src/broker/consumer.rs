//! A consumer of a group: one task that works off leases with a handler that may fail in every way.
//!
//! ```text
//!   group ──Lease──▶ mailbox ──▶ for each message: catch( handler ) ──▶ Report { upto, exceptions } ──▶ group
//!         ──Cancel, Build, Stop──▶ control                         └─ panic: drop the handler, make the next
//! ```
//!
//! The task is the consumer; handlers are its incarnations. A handler that panics, or is cancelled past its
//! deadline, is dropped before the next one is made and before the group hears of it, so that no two ever hold
//! the same message (G7).

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tracing::Span;

use super::Message;
use super::bits::Bits;
use super::group_word::{GroupWord, Handout};
use super::handler::Handle;
use super::lease::{Handling, Lease, LeaseId, Progress, Slot};
use super::ledger::Report;
use super::message::Batch;
use super::order::Order;
use super::outcome::{TIMED_OUT, Verdict};
use super::scope::Scope;
use super::witness::Window;
use super::work_off::{Halt, Open, pause};
use super::workers::ConsumerId;
use crate::base::{Bug, PanicText, catch, planted};
use crate::mailbox::{BUDGET, Event, Receiver, WeakSender};

/// What the group says to a consumer.
pub(crate) enum ConsumerWord {
    /// Drop this handling; it is past its deadline.
    Cancel(Handling),
    /// Try again to make a handler.
    Build,
    /// The group has heard that the consumer is away, and hands it nothing more.
    Noted,
    /// End: after the current message, or in the middle of it.
    Stop { kill: bool },
}

/// What a consumer says to its group, beside its reports.
pub(crate) enum ConsumerNews {
    /// A handler is there.
    Ready,
    /// No handler could be made; this is why.
    Broken(Arc<str>),
    /// A handler was lost to a panic or a deadline, and is being made anew.
    Rebuilt,
    /// That takes time: nothing can be taken until it is ready.
    Away,
    /// It has seen that messages were taken back from it, and can take others.
    Here,
    /// The task is over.
    Ended,
}

/// Words from consumers to the group.
pub(crate) enum FromConsumer {
    Report(Report),
    GiveBack(LeaseId),
    News(ConsumerId, ConsumerNews),
}

/// Where a consumer sits: its mailbox and its line to the group.
pub(crate) struct ConsumerSeat<T> {
    pub(crate) id: ConsumerId,
    pub(crate) mailbox: Receiver<Lease<T>, ConsumerWord>,
    pub(crate) group: WeakSender<Handout<T>, GroupWord<T>>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) scope: Scope,
    pub(super) window: Arc<Window>,
    work: Option<Work<T>>,
    pub(super) stop: Option<Stop>,
    /// The group says to try again to make a handler.
    pub(super) build: bool,
    /// The group knows that nothing can be taken here.
    pub(super) away: bool,
    /// The group was told so, and has not answered yet.
    pub(super) unheard: bool,
    budget: u32,
}

/// The lease being worked on.
struct Work<T> {
    id: LeaseId,
    slot: Slot,
    to: u16,
    /// Present if there are gaps: only these.
    picked: Option<Box<Bits>>,
    /// Present if some of its messages must not start before others are done with.
    ordered: Option<Arc<Batch<T>>>,
    /// Messages before this index are through.
    upto: u16,
    exceptions: Vec<(u16, Verdict)>,
    unreported: bool,
    /// The handling that goes on is to be dropped.
    cancelled: bool,
    /// What was not started is kept from the handler, and goes back to the group once it has heard the rest.
    cut: bool,
    /// The group had taken back what was behind a message that failed, before it was withdrawn for that.
    taken: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Gently,
    Kill,
}

impl<T: Send + Sync + 'static> ConsumerSeat<T> {
    pub(crate) fn new(
        window: Arc<Window>,
        mailbox: Receiver<Lease<T>, ConsumerWord>,
        group: WeakSender<Handout<T>, GroupWord<T>>,
        progress: Arc<Progress>,
        scope: Scope,
    ) -> ConsumerSeat<T> {
        let (work, stop, build, away, unheard, budget) = (None, None, false, true, false, BUDGET);
        let id = window.consumer;
        ConsumerSeat { id, mailbox, group, progress, scope, window, work, stop, build, away, unheard, budget }
    }

    /// Runs the consumer until it is told to stop.
    pub(crate) async fn run<H: Handle<T>>(mut self, make: impl Fn() -> H) {
        while self.stop.is_none() {
            match self.build(&make).await {
                Ok(handler) => self.serve(handler, &make).await,
                Err(text) => self.wait_broken(text).await,
            }
        }
        drop_quietly(make);
    }

    /// Works off leases until a handler can't be rebuilt, or a stop.
    async fn serve<H: Handle<T>>(&mut self, mut handler: H, make: &impl Fn() -> H) {
        while self.stop.is_none()
            && let Some(lease) = self.next_lease().await
        {
            let mut message = Message::on_loan(lease.batch, lease.from, &lease.past);
            let ordered = (self.window.order != Order::Shared).then(|| message.batch.clone());
            self.work = Some(Work {
                id: lease.id,
                slot: lease.slot,
                to: lease.to,
                picked: lease.picked,
                ordered,
                upto: lease.from,
                exceptions: Vec::new(),
                unreported: false,
                cancelled: false,
                cut: false,
                taken: false,
            });
            let span = self.lease_span(&message, lease.to);
            loop {
                match self.handle(&mut handler, &mut message, &span).await {
                    Halt::Through => break self.end_lease(message.index),
                    Halt::Exception(verdict) => self.except(message.index, verdict),
                    Halt::Pause => {
                        self.note(message.index);
                        pause().await;
                    }
                    Halt::Lost(verdict) => {
                        drop_quietly(handler);
                        self.window.show_end(&message, &verdict);
                        message.index += 1;
                        self.except(message.index, verdict);
                        if self.stop.is_some() {
                            self.report();
                            return self.give_back();
                        }
                        // Why before the report: with that, another consumer may be through with the message, and the
                        // counts would show a failure without its restart.
                        self.window.show_rebuilt();
                        self.say(ConsumerNews::Rebuilt);
                        self.report();
                        match self.build(make).await {
                            Ok(made) => handler = made,
                            Err(text) => return self.wait_broken(text).await,
                        }
                    }
                }
            }
        }
        drop_quietly(handler);
    }

    /// Nothing is left of the lease at hand.
    fn end_lease(&mut self, upto: u16) {
        self.note(upto);
        self.progress.rest();
        self.report();
        let taken = self.work.as_ref().is_some_and(|work| (work.upto < work.to || work.taken) && !work.cut);
        self.give_back();
        if taken && self.stop.is_none() {
            // The group has taken the rest, and waits to hear that this was seen.
            self.say(ConsumerNews::Here);
        }
    }

    /// Lets the handler work off the lease, with everything that can happen to it meanwhile.
    ///
    /// Why the catch is around all messages and not around each: it costs as much as a quick handler.
    async fn handle<H: Handle<T>>(&mut self, handler: &mut H, message: &mut Message<T>, span: &Span) -> Halt {
        let Some(Work { id, slot, picked, .. }) = &self.work else { return Halt::Through };
        let (id, slot, picked) = (*id, *slot, picked.clone());
        let (progress, scope, mut budget) = (self.progress.clone(), self.scope, self.budget);
        let window = self.window.clone();
        let halt = {
            let picked = picked.as_deref();
            let open = Open { progress: &progress, id, slot, picked, span, window: &window };
            let mut work = pin!(Some(open.work_off(handler, message, &mut budget)));
            let halt = std::future::poll_fn(|cx| {
                let Some(work) = work.as_mut().as_pin_mut() else { return Poll::Pending };
                if planted(Bug::PanicEscapes) {
                    return scope.enter(|| work.poll(cx));
                }
                match catch(|| scope.enter(|| span.in_scope(|| work.poll(cx)))) {
                    Err(text) => Poll::Ready(Halt::Lost(failed_by_panic(&text))),
                    Ok(Poll::Ready(halt)) => Poll::Ready(halt),
                    Ok(Poll::Pending) => self.poll_lost(cx).map(Halt::Lost),
                }
            })
            .await;
            // A handling that is lost may own what panics when it is dropped.
            drop(catch(|| scope.enter(|| work.set(None))));
            halt
        };
        self.budget = budget;
        halt
    }

    /// While a handler waits: tells what is through, and hears whether its current message is to be dropped.
    fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        // What is through must not wait for a handler that waits (G17).
        if let Some(started) = self.started() {
            self.note(started.saturating_sub(1));
            self.report();
        }
        while let Poll::Ready(word) = self.mailbox.poll_control(cx) {
            self.hear(word);
        }
        let Some(work) = &mut self.work else { return Poll::Pending };
        if work.cancelled && planted(Bug::Zombie) {
            self.forget_it();
            return Poll::Pending;
        }
        if work.cancelled {
            return Poll::Ready(Verdict::failed(TIMED_OUT));
        }
        match self.stop {
            Some(Stop::Kill) => return Poll::Ready(Verdict::Release),
            Some(Stop::Gently) => work.cut |= self.progress.take_back(work.slot, work.id).is_some(),
            None => {}
        }
        self.window.rt.waits(format_args!("for a handler of {}", self.window.group));
        Poll::Pending
    }

    async fn next_lease(&mut self) -> Option<Lease<T>> {
        std::future::poll_fn(|cx| {
            loop {
                match std::task::ready!(self.mailbox.poll_next(cx)) {
                    Event::Message(lease) => {
                        // Why now: what bounds the messages at a consumer is its credit; this only counts leases.
                        self.mailbox.settle(1);
                        return Poll::Ready(Some(lease));
                    }
                    Event::Closed => {
                        self.stop = Some(Stop::Gently);
                        return Poll::Ready(None);
                    }
                    Event::Control(word) => self.hear(word),
                }
                if self.stop.is_some() {
                    return Poll::Ready(None);
                }
            }
        })
        .await
    }

    fn lease_span(&self, message: &Message<T>, to: u16) -> Span {
        tracing::debug_span!(
            target: "callboard::broker",
            "lease",
            topic = %message.topic(),
            group = %self.window.group,
            consumer = self.id.0,
            first = message.id().offset(),
            messages = to - message.index,
        )
    }

    pub(super) fn hear(&mut self, word: ConsumerWord) {
        match word {
            ConsumerWord::Cancel(handling) => {
                if let Some(work) = &mut self.work {
                    work.cancelled |= self.progress.busy() == Some(handling);
                }
            }
            ConsumerWord::Build => (self.build, self.unheard) = (true, false),
            ConsumerWord::Noted => self.unheard = false,
            ConsumerWord::Stop { kill } if kill || self.stop == Some(Stop::Kill) => {
                self.stop = Some(Stop::Kill)
            }
            ConsumerWord::Stop { .. } => self.stop = Some(Stop::Gently),
        }
    }
}

impl<T> ConsumerSeat<T> {
    /// The messages before `upto` are through.
    fn note(&mut self, upto: u16) {
        if let Some(work) = &mut self.work
            && work.upto < upto
        {
            work.upto = upto;
            work.unreported = true;
        }
    }

    /// The messages before `upto` are through, and the last of them was not acked.
    fn except(&mut self, upto: u16, verdict: Verdict) {
        self.note(upto);
        if verdict.comes_again() && !planted(Bug::Overtakes) {
            self.withdraw_behind(upto - 1);
        }
        if let Some(work) = &mut self.work {
            work.exceptions.push((upto - 1, verdict));
            work.cancelled = false;
        }
    }

    /// Keeps those of the lease from the handler that must not start before the message at `index`, which comes again.
    /// The ledger takes them back by itself when it hears the verdict.
    fn withdraw_behind(&mut self, index: u16) {
        let Some(work) = &mut self.work else { return };
        let Some(batch) = &work.ordered else { return };
        let rest = work.picked.as_ref().map_or(Bits::range(index, work.to), |picked| **picked);
        let behind = self.window.order.behind(batch, index, rest);
        if !behind.is_empty() {
            let left = rest.without(behind);
            (work.to, work.picked) = (left.end(), Some(Box::new(left)));
            work.taken |= !self.progress.cut(work.slot, work.id, work.to);
        }
    }

    /// The bug of that name: reports the handling that goes on as failed, and lets it go on.
    fn forget_it(&mut self) {
        if let Some(started) = self.started() {
            self.except(started, Verdict::failed(TIMED_OUT));
            self.report();
        }
    }

    /// The messages of the lease at hand before this one were started.
    fn started(&self) -> Option<u16> {
        self.work.as_ref().and_then(|work| self.progress.started(work.slot, work.id))
    }

    /// Tells the group how far the lease is, if it does not know.
    pub(super) fn report(&mut self) {
        let Some(work) = &mut self.work else { return };
        if std::mem::take(&mut work.unreported) {
            let exceptions = std::mem::take(&mut work.exceptions);
            let report = Report { lease: work.id, upto: work.upto, exceptions };
            drop(self.group.control(GroupWord::From(FromConsumer::Report(report))));
        }
    }

    /// Gives back what is not started of the current lease.
    pub(super) fn give_back(&mut self) {
        let Some(work) = self.work.take() else { return };
        if work.cut {
            drop(self.group.control(GroupWord::From(FromConsumer::GiveBack(work.id))));
        } else {
            self.give_back_lease(work.slot, work.id);
        }
    }

    pub(super) fn give_back_lease(&self, slot: Slot, lease: LeaseId) {
        if self.progress.take_back(slot, lease).is_some() {
            drop(self.group.control(GroupWord::From(FromConsumer::GiveBack(lease))));
        }
    }

    pub(super) fn say(&self, news: ConsumerNews) {
        drop(self.group.control(GroupWord::From(FromConsumer::News(self.id, news))));
    }
}

impl<T> Drop for ConsumerSeat<T> {
    /// However the task ends (a stop, or a runtime that goes away), the group gets everything back.
    fn drop(&mut self) {
        self.window.show_gone();
        if let Some(started) = self.started()
            && self.work.as_ref().is_some_and(|work| work.upto < started)
        {
            // The task was dropped in the middle of a handling, which so ended without a verdict. All before it are
            // noted, as they are whenever a handler waits.
            self.except(started, Verdict::Release);
        }
        self.progress.rest();
        self.report();
        self.give_back();
        // Closed first: what the group sends from now on bounces, and stays with the group.
        self.mailbox.close();
        for lease in self.mailbox.take_rest() {
            self.give_back_lease(lease.slot, lease.id);
        }
        self.say(ConsumerNews::Ended);
    }
}

fn failed_by_panic(text: &PanicText) -> Verdict {
    Verdict::failed(format!("panicked: {text}"))
}

/// Drops what a user made; its panic is a log line.
pub(super) fn drop_quietly<H>(made: H) {
    if let Err(text) = catch(|| drop(made)) {
        tracing::error!(target: "callboard::broker", panic = %text, "a consumer's drop panicked");
    }
}

#[cfg(test)]
mod tests;
