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
use std::task::Poll;

use tracing::Span;

use super::Message;
use super::group_actor::{GroupWord, Handout};
use super::handler::Handle;
use super::lease::{Handling, Lease, LeaseId, Progress, Slot};
use super::ledger::Report;
use super::outcome::Verdict;
use super::scope::Scope;
use super::workers::ConsumerId;
use crate::base::{Name, PanicText, catch};
use crate::mailbox::{BUDGET, Event, Receiver, WeakSender};

/// What the group says to a consumer.
pub(crate) enum ConsumerWord {
    /// Drop this handling; it is past its deadline.
    Cancel(Handling),
    /// Try again to make a handler.
    Build,
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
    group_name: Name,
    work: Option<Work>,
    pub(super) stop: Option<Stop>,
    /// The group says to try again to make a handler.
    pub(super) build: bool,
    /// The group knows that nothing can be taken here.
    pub(super) away: bool,
    budget: u32,
}

/// The lease being worked on.
struct Work {
    id: LeaseId,
    slot: Slot,
    to: u16,
    /// Messages before this index are through.
    upto: u16,
    exceptions: Vec<(u16, Verdict)>,
    unreported: bool,
    /// The handling of `upto` goes on, under this name.
    in_hand: Option<Handling>,
    /// It is to be dropped.
    cancelled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Gently,
    Kill,
}

/// How one handling ended.
enum Handled {
    Done(Verdict),
    /// The handler is not to be used again.
    Lost(Verdict),
}

impl<T: Send + Sync + 'static> ConsumerSeat<T> {
    pub(crate) fn new(
        id: ConsumerId,
        group_name: Name,
        mailbox: Receiver<Lease<T>, ConsumerWord>,
        group: WeakSender<Handout<T>, GroupWord<T>>,
        progress: Arc<Progress>,
        scope: Scope,
    ) -> ConsumerSeat<T> {
        let (work, stop, build, away, budget) = (None, None, false, true, BUDGET);
        ConsumerSeat { id, mailbox, group, progress, scope, group_name, work, stop, build, away, budget }
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
            let mut message =
                Message { batch: lease.batch, index: lease.from, attempt: lease.past.attempts + 1 };
            self.work = Some(Work::on(lease.id, lease.slot, lease.from, lease.to));
            let span = self.lease_span(&message, lease.to);
            while self.stop.is_none() && self.begin() {
                match self.handle(&mut handler, &message, &span).await {
                    Handled::Done(verdict) => self.note(message.index, verdict),
                    Handled::Lost(verdict) => {
                        drop_quietly(handler);
                        self.note(message.index, verdict);
                        self.report();
                        if self.stop.is_some() {
                            return self.give_back();
                        }
                        self.say(ConsumerNews::Rebuilt);
                        match self.build(make).await {
                            Ok(made) => handler = made,
                            Err(text) => return self.wait_broken(text).await,
                        }
                    }
                }
                message.index += 1;
                self.pause_on_budget().await;
            }
            self.progress.rest();
            self.report();
            self.give_back();
        }
        drop_quietly(handler);
    }

    /// Starts the lease's next message, if it still has one.
    fn begin(&mut self) -> bool {
        let Some(work) = &mut self.work else { return false };
        work.in_hand = self.progress.begin(work.slot, work.id);
        work.cancelled = false;
        if work.in_hand.is_none() && work.upto < work.to {
            // The group has taken the rest, and waits to hear that this was seen.
            work.to = work.upto;
            self.report();
            self.say(ConsumerNews::Here);
            return false;
        }
        work.in_hand.is_some()
    }

    /// One handling of one message, with everything that can happen to it.
    async fn handle<H: Handle<T>>(&mut self, handler: &mut H, message: &Message<T>, lease: &Span) -> Handled {
        let (scope, span) = (self.scope, delivery_span(lease, message));
        // Why the call is inside of the catch: a sync handler runs in it.
        let future = match catch(|| scope.enter(|| span.in_scope(|| handler.handle(message)))) {
            Ok(future) => future,
            Err(text) => return Handled::Lost(failed_by_panic(&text)),
        };
        let mut slot = pin!(Some(future));
        let ended = std::future::poll_fn(|cx| {
            let Some(future) = slot.as_mut().as_pin_mut() else { return Poll::Pending };
            match catch(|| scope.enter(|| span.in_scope(|| future.poll(cx)))) {
                Err(text) => return Poll::Ready(Handled::Lost(failed_by_panic(&text))),
                Ok(Poll::Ready(verdict)) => return Poll::Ready(Handled::Done(verdict)),
                Ok(Poll::Pending) => {}
            }
            // What is through must not wait for a handler that waits (G17).
            self.report();
            while let Poll::Ready(word) = self.mailbox.poll_control(cx) {
                self.hear(word);
            }
            let cancelled = self.work.as_ref().is_some_and(|work| work.cancelled);
            match (cancelled, self.stop) {
                (true, _) => {
                    Poll::Ready(Handled::Lost(Verdict::failed("not handled within the ack timeout")))
                }
                (_, Some(Stop::Kill)) => Poll::Ready(Handled::Lost(Verdict::Release)),
                _ => Poll::Pending,
            }
        })
        .await;
        // The future may own what panics when it is dropped; it does so in here.
        match (catch(|| scope.enter(|| slot.set(None))), ended) {
            (Err(text), Handled::Done(_)) => Handled::Lost(failed_by_panic(&text)),
            (_, ended) => ended,
        }
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

    /// A lease of 256 ready messages must not keep other tasks waiting.
    async fn pause_on_budget(&mut self) {
        self.budget -= 1;
        if self.budget > 0 {
            return;
        }
        self.budget = BUDGET;
        let mut yielded = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn lease_span(&self, message: &Message<T>, to: u16) -> Span {
        tracing::debug_span!(
            target: "callboard::broker",
            "lease",
            topic = %message.topic(),
            group = %self.group_name,
            consumer = self.id.0,
            first = message.id().offset(),
            messages = to - message.index,
        )
    }

    pub(super) fn hear(&mut self, word: ConsumerWord) {
        match word {
            ConsumerWord::Cancel(number) => {
                if let Some(work) = &mut self.work {
                    work.cancelled |= work.in_hand == Some(number);
                }
            }
            ConsumerWord::Build => self.build = true,
            ConsumerWord::Stop { kill } if kill || self.stop == Some(Stop::Kill) => {
                self.stop = Some(Stop::Kill)
            }
            ConsumerWord::Stop { .. } => self.stop = Some(Stop::Gently),
        }
    }

    fn note(&mut self, index: u16, verdict: Verdict) {
        if let Some(work) = &mut self.work {
            work.upto = index + 1;
            work.unreported = true;
            work.in_hand = None;
            if verdict != Verdict::Ack {
                work.exceptions.push((index, verdict));
            }
        }
    }
}

impl<T> ConsumerSeat<T> {
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
        if let Some(work) = self.work.take() {
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
        if let Some(work) = self.work.as_mut().filter(|work| work.in_hand.is_some()) {
            // The task was dropped in the middle of a handling, which so ended without a verdict.
            work.exceptions.push((work.upto, Verdict::Release));
            work.upto += 1;
            work.unreported = true;
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

impl Work {
    fn on(id: LeaseId, slot: Slot, from: u16, to: u16) -> Work {
        Work {
            id,
            slot,
            to,
            upto: from,
            exceptions: Vec::new(),
            unreported: false,
            in_hand: None,
            cancelled: false,
        }
    }
}

/// A span per message only where somebody asked for that much; else the lease's serves.
fn delivery_span<T>(lease: &Span, message: &Message<T>) -> Span {
    if !tracing::enabled!(target: "callboard::broker", tracing::Level::TRACE) {
        return lease.clone();
    }
    let (id, attempt) = (message.id(), message.attempt());
    tracing::trace_span!(target: "callboard::broker", parent: lease, "delivery", %id, attempt)
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
