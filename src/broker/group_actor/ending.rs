//! How a group ends: consumers are told, those that don't yield are called stuck, and the rest is counted.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Life;
use crate::base::Moment;
use crate::broker::consumer::FromConsumer;
use crate::broker::group_word::GroupWord;
use crate::broker::ledger::Effect;
use crate::broker::witness::Sight;
use crate::broker::{GroupReport, GroupState};
use crate::mailbox::Reply;

/// How long a stop waits for handlers that don't yield, before it reports them stuck.
const STOP_GRACE: Duration = Duration::from_secs(1);

pub(super) struct Stopping {
    /// What was settled or in flight when the stop began: what of it is unsettled in the end was released.
    held: u64,
    /// When handlers that are still there are called stuck; `None` once they were.
    deadline: Option<Moment>,
    reports: Vec<Reply<GroupReport>>,
}

impl<T: Send + Sync + 'static> Life<T> {
    pub(super) fn on_stop(&mut self, kill: bool, report: Reply<GroupReport>, now: Moment) {
        self.state = GroupState::Stopping;
        let deadline = Some(now + STOP_GRACE);
        let held = self.stats().in_flight + self.stats().settled();
        self.stop.get_or_insert(Stopping { deadline, held, reports: Vec::new() }).reports.push(report);
        self.members.stop(kill);
        self.members.ids().for_each(|id| self.ledger.on_ready(id, false));
    }

    /// An ephemeral group ends with its last consumer. From now on it takes none; so whoever opens the group gets this
    /// one before, or another one.
    pub(super) fn leave_if_empty(&mut self) {
        if self.members.is_empty()
            && self.state != GroupState::Stopping
            && let Some(leave) = &self.actor.leave
        {
            self.state = GroupState::Stopping;
            leave();
        }
    }

    /// When handlers that are still there are called stuck.
    pub(super) fn stop_deadline(&self) -> Option<Moment> {
        self.stop.as_ref().and_then(|stop| stop.deadline)
    }

    pub(super) fn look_at_stop(&mut self, now: Moment) {
        if let Some(stop) = self.stop.as_mut().filter(|stop| stop.deadline.is_some_and(|at| at <= now)) {
            stop.deadline = None;
            self.members.call_stuck(|consumer| self.actor.tell_stuck(consumer));
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.stop.is_some() && !self.members.any_works()
    }

    /// Tells everybody that the group is over, and what was left.
    pub(super) fn end(mut self) {
        self.members.close_all();
        // Why before the last words: an ack that was let in after them would be heard by nobody. One that had passed
        // its door by now, or was put off while the doors were closed, is heard or refused here.
        self.actor.mailbox.close_for_good();
        self.hear_last_words();
        for handout in self.actor.mailbox.take_rest() {
            self.take_in(handout);
        }
        self.ledger.let_all_go();
        self.tell_let_go();
        self.tell_dropped();
        let stats = self.stats();
        let (topic, group) = (&self.actor.topic_name, &self.actor.name);
        self.actor.watched.show(|| Sight::Over { topic, group });
        let stop = self.stop.take();
        let released = stop.as_ref().map_or(0, |stop| stop.held.saturating_sub(stats.settled()));
        let report =
            GroupReport::new(self.actor.topic_name.clone(), self.actor.name.clone(), stats, released);
        // Why before the reports: whoever was told of the end must find the group gone.
        drop(self);
        for reply in stop.into_iter().flat_map(|stop| stop.reports) {
            drop(reply.send(report.clone()));
        }
    }

    /// What was acked before the doors were closed is settled; and whoever stops it too gets the report.
    fn hear_last_words(&mut self) {
        let (now, mut cx) = (self.actor.rt.now(), Context::from_waker(Waker::noop()));
        while let Poll::Ready(word) = self.actor.mailbox.poll_control(&mut cx) {
            let said = matches!(
                word,
                GroupWord::From(FromConsumer::Report(_))
                    | GroupWord::Stop { .. }
                    | GroupWord::Evicted { .. }
                    | GroupWord::EvictedBefore { .. }
                    | GroupWord::Skipped(_)
                    | GroupWord::Unread(_)
            );
            if said {
                self.hear(word, now);
            }
        }
        for effect in std::mem::take(&mut self.effects) {
            if !matches!(effect, Effect::Dead { .. }) {
                self.apply(effect);
            }
        }
    }
}
