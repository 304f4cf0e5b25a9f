//! The actor's desk: what lies between its mailbox and its handler, and outlives an incarnation.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll, Waker};

use pin_project_lite::pin_project;

use super::here::Me;
use super::sources::Sources;
use crate::base::drop_each;
use crate::mailbox::{BUDGET, Event, Receiver, Reply, WeakSender};

/// A word on an actor's control lane.
pub(crate) enum Word<M> {
    /// End, in one of these ways: the word of somebody who has an address. He has closed the mailbox too.
    Stop(Stop),
    /// From the supervisor: the incarnation with this number is to end, and no other.
    End(u64, Stop),
    /// End after the current message and hand back what was not handled.
    HandBack(Reply<Vec<M>>),
    /// A message that the framework sends on somebody's behalf: the end of a watched actor.
    Notice(M),
}

/// How an incarnation is asked to end. A later variant overrides an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Close the mailbox, handle what was accepted, end.
    Drain,
    /// End after the current message. The mailbox stays as it is.
    Now,
    /// End at the next await of the current handler. The mailbox stays as it is.
    Kill,
}

/// How a handler's future ended.
pub(super) enum Attended<R> {
    Done(R),
    Killed,
}

pin_project! {
    /// Made by [`Desk::attend`]. Why by hand: an `async fn` would hold the handler's future twice.
    pub(super) struct Attend<'a, M, F> {
        desk: &'a mut Desk<M>,
        #[pin]
        handler: F,
    }
}

impl<M, F: Future> Future for Attend<'_, M, F> {
    type Output = Attended<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.desk.me.run(|| this.handler.poll(cx)) {
            return Poll::Ready(Attended::Done(result));
        }
        if this.desk.poll_kill(cx) { Poll::Ready(Attended::Killed) } else { Poll::Pending }
    }
}

/// What [`Desk::clear`] found.
pub(super) struct Cleared {
    /// Messages that were accepted and never handled.
    pub(super) unhandled: usize,
    /// Those of them that nobody took back.
    pub(super) dropped: usize,
}

pub(crate) struct Desk<M> {
    me: Me,
    mailbox: Receiver<M, Word<M>>,
    /// Why boxed and made on first use: most actors never need it, and an idle one should be small.
    rare: Option<Box<Rare<M>>>,
    stop: Option<Stop>,
    /// A message is being handled and still holds its place.
    in_hand: bool,
    /// Whose turn it is when both the mailbox and the sources have something.
    sources_first: bool,
    /// Messages in a row without a pause. The mailbox counts its own; this counts what else is mixed in.
    in_a_row: u32,
}

struct Rare<M> {
    /// Notices that came while a handler ran. Limit: one per watch.
    notices: VecDeque<M>,
    /// Who asked for what is left. Limit: one per call of `stop_now`.
    hand_back: Vec<Reply<Vec<M>>>,
    /// Which incarnation lives, under a supervisor.
    incarnation: Option<u64>,
    /// What the supervisor told an incarnation that has not begun.
    early: Option<(u64, Stop)>,
}

// Why by hand: without it, messages would have to have a default.
impl<M> Default for Rare<M> {
    fn default() -> Rare<M> {
        Rare { notices: VecDeque::new(), hand_back: Vec::new(), incarnation: None, early: None }
    }
}

impl<M> Desk<M> {
    pub(super) fn new(me: Me, mailbox: Receiver<M, Word<M>>) -> Desk<M> {
        Desk { me, mailbox, rare: None, stop: None, in_hand: false, sources_first: false, in_a_row: 0 }
    }

    /// The actor's own address, as far as the desk knows it.
    pub(super) fn sender(&self) -> WeakSender<M, Word<M>> {
        self.mailbox.sender()
    }

    /// The next message, if one is at hand and nothing else can come before it: the way of nearly every message.
    #[inline]
    fn at_hand(&mut self, sources: &Sources<M>) -> Option<M> {
        if self.stop.is_some() || self.rare.is_some() || !sources.is_empty() {
            return None;
        }
        let message = self.mailbox.at_hand()?;
        self.in_hand = true;
        Some(message)
    }

    /// Waits for the next message: control first, then notices, then mailbox and sources in turn. One with a place
    /// in the mailbox keeps it until [`Desk::done`].
    ///
    /// `None`: there is none any more, since it is to end ([`Desk::asked`]), or since no others can come.
    #[inline]
    pub(super) fn poll_next(&mut self, sources: &mut Sources<M>, cx: &mut Task<'_>) -> Poll<Option<M>> {
        match self.at_hand(sources) {
            // Why `Option` and no enum of our own: a message would be moved once more for each answer around it.
            Some(message) => Poll::Ready(Some(message)),
            None => self.poll_far(sources, cx),
        }
    }

    fn poll_far(&mut self, sources: &mut Sources<M>, cx: &mut Task<'_>) -> Poll<Option<M>> {
        if self.in_a_row >= BUDGET {
            self.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.poll_all(sources, cx);
        if next.is_pending() {
            self.in_a_row = 0;
        } else if !sources.is_empty() || !self.in_hand {
            self.in_a_row += 1;
        }
        next
    }

    fn poll_all(&mut self, sources: &mut Sources<M>, cx: &mut Task<'_>) -> Poll<Option<M>> {
        let turn = !sources.is_empty() && self.sources_first;
        self.sources_first = !self.sources_first;
        loop {
            if let Some(Stop::Now | Stop::Kill) = self.stop {
                return Poll::Ready(None);
            }
            if let Some(notice) = self.rare.as_mut().and_then(|rare| rare.notices.pop_front()) {
                return Poll::Ready(Some(notice));
            }
            if turn && let Poll::Ready(message) = sources.poll_next(cx) {
                return Poll::Ready(Some(message));
            }
            match self.mailbox.poll_next(cx) {
                Poll::Ready(Event::Control(word)) => self.note(word),
                Poll::Ready(Event::Message(message)) => {
                    self.in_hand = true;
                    return Poll::Ready(Some(message));
                }
                Poll::Ready(Event::Closed) => return Poll::Ready(None),
                Poll::Pending if turn || sources.is_empty() => return Poll::Pending,
                Poll::Pending => return sources.poll_next(cx).map(Some),
            }
        }
    }

    /// Runs a handler's future; a kill ends it at its next await.
    pub(super) fn attend<F: Future>(&mut self, handler: F) -> Attend<'_, M, F> {
        Attend { desk: self, handler }
    }

    /// Looks for control words while a handler waits; answers whether it is to be killed.
    fn poll_kill(&mut self, cx: &mut Task<'_>) -> bool {
        self.in_a_row = 0;
        self.poll_idle(cx);
        self.stop == Some(Stop::Kill)
    }

    /// The message in hand was handled, or was lost with its handler: its place is free.
    pub(super) fn done(&mut self) {
        if std::mem::take(&mut self.in_hand) {
            self.mailbox.settle(1);
        }
    }

    /// Asks the incarnation to end, as a control word would.
    pub(super) fn ask_to_stop(&mut self, stop: Stop) {
        self.stop = self.stop.max(Some(stop));
        if stop == Stop::Drain {
            self.mailbox.close();
        }
    }

    /// How it is to end, if anybody asked for it.
    pub(super) fn asked(&self) -> Option<Stop> {
        self.stop
    }

    /// Begins an incarnation on this mailbox, open again. A stop of the one before is none of its business.
    pub(super) fn begin(&mut self, incarnation: u64) {
        self.reopen();
        let rare = self.rare();
        rare.incarnation = Some(incarnation);
        if let Some((number, stop)) = rare.early.take()
            && number == incarnation
        {
            self.ask_to_stop(stop);
        }
    }

    /// The incarnation is over: hands back what is left to whoever asked for that.
    pub(super) fn pass(&mut self) -> Cleared {
        if let Some(rare) = &mut self.rare {
            rare.incarnation = None;
        }
        self.done();
        self.poll_idle(&mut Task::from_waker(Waker::noop()));
        self.hand_back()
    }

    /// Hands back what is left, if anybody asked for it.
    pub(super) fn hand_back(&mut self) -> Cleared {
        let wanted = self.rare.as_ref().is_some_and(|rare| !rare.hand_back.is_empty());
        if wanted { self.empty() } else { Cleared { unhandled: 0, dropped: 0 } }
    }

    /// Takes in what the control lane has while no message is wanted.
    pub(super) fn poll_idle(&mut self, cx: &mut Task<'_>) {
        while let Poll::Ready(word) = self.mailbox.poll_control(cx) {
            self.note(word);
        }
    }

    /// Takes messages again and forgets a stop.
    pub(super) fn reopen(&mut self) {
        self.stop = None;
        self.mailbox.reopen();
    }

    /// Closes the mailbox and empties it.
    pub(super) fn clear(&mut self) -> Cleared {
        self.mailbox.close();
        self.poll_idle(&mut Task::from_waker(Waker::noop()));
        let notices = self.rare.as_mut().map(|rare| std::mem::take(&mut rare.notices));
        drop(drop_each(notices.into_iter().flatten()));
        self.empty()
    }

    /// Hands back what is left to whoever asked for it first, or drops it, and counts it.
    pub(super) fn empty(&mut self) -> Cleared {
        let mut rest = self.mailbox.take_rest();
        let unhandled = rest.len();
        for reply in self.rare.as_mut().map(|rare| std::mem::take(&mut rare.hand_back)).into_iter().flatten()
        {
            // The first who still waits gets all; the others get an empty list.
            if let Err(kept) = reply.send(std::mem::take(&mut rest)) {
                rest = kept;
            }
        }
        let dropped = rest.len();
        drop(drop_each(rest));
        Cleared { unhandled, dropped }
    }

    fn rare(&mut self) -> &mut Rare<M> {
        self.rare.get_or_insert_with(Box::default)
    }

    fn note(&mut self, word: Word<M>) {
        match word {
            Word::Stop(stop) => self.ask_to_stop(stop),
            Word::End(number, stop) if self.rare().incarnation == Some(number) => self.ask_to_stop(stop),
            // A later word is about the same incarnation or a later one. One for an earlier one finds no match.
            Word::End(number, stop) => self.rare().early = Some((number, stop)),
            Word::HandBack(reply) => {
                self.rare().hand_back.push(reply);
                self.mailbox.close();
                self.ask_to_stop(Stop::Now);
            }
            Word::Notice(message) => self.rare().notices.push_back(message),
        }
    }
}
