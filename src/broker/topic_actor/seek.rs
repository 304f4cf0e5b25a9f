//! The topic's part in moving a group.

use super::Life;
use super::replay::Replay;
use crate::base::{Bug, planted};
use crate::broker::books::GroupId;
use crate::broker::group_word::{GroupWord, Handout};
use crate::broker::history::within;
use crate::broker::start::Begin;
use crate::broker::witness::Sight;
use crate::log::{LogError, Ranges};
use crate::mailbox::Reply;

impl<T: Send + Sync + 'static> Life<T> {
    /// Hands a group nothing more, until it is told where to begin anew. What it was not handed it does without.
    pub(super) fn on_halt(&mut self, group: GroupId) {
        self.changes += 1;
        let Some(link) = self.links.iter_mut().find(|link| link.group == group) else { return };
        let (topic, name) = (&self.actor.name, &link.name);
        self.actor.watched.show(|| Sight::LetsGo { topic, group: name });
        link.halted = true;
        link.replay.iter_mut().for_each(Replay::cut_short);
        let left: Vec<_> = link.withheld.drain(..).chain(link.late.drain(..)).collect();
        drop(link.to.control(GroupWord::Halted));
        self.let_go_of_handouts(group, left);
    }

    /// The group does without these, that it was not handed.
    fn let_go_of_handouts(&mut self, group: GroupId, handouts: Vec<Handout<T>>) {
        for handout in handouts {
            let (base, which) = (handout.batch.base(), handout.open);
            self.show_let_go(group, &handout);
            let freed = match handout.redrives {
                0 => self.books.on_settled(group, base, which),
                _ => which.iter().map(|at| self.settle_again(group, base, at)).sum(),
            };
            if let Some(link) = self.links.iter().find(|link| link.group == group) {
                link.skip(which.count());
            }
            self.free(freed);
        }
    }

    fn show_let_go(&self, group: GroupId, handout: &Handout<T>) {
        let Some(link) = self.links.iter().find(|link| link.group == group) else { return };
        let (topic, group, base, which) = (&self.actor.name, &link.name, handout.batch.base(), handout.open);
        self.actor.watched.show(|| Sight::Removed { topic, group, base, which });
        match handout.redrives {
            0 => self.actor.watched.show(|| Sight::Settled { topic, group, base, which }),
            _ => which.iter().for_each(|at| {
                self.actor.watched.show(|| Sight::SettledAgain { topic, group, base, at });
            }),
        }
    }

    /// The group has let go of all that it had: it begins anew.
    pub(super) fn on_seek(&mut self, group: GroupId, begin: Begin, done: Reply<Result<(), LogError>>) {
        self.changes += 1;
        let Some(at) = self.links.iter().position(|link| link.group == group) else { return };
        // What came while it was halted is in the books, and so among what it is handed now; but for what came back.
        let came = self.links.get_mut(at).map(|link| std::mem::take(&mut link.withheld)).unwrap_or_default();
        let (back, came): (Vec<_>, Vec<_>) = came.into_iter().partition(|handout| handout.redrives > 0);
        self.let_go_of_handouts(group, back);
        let start = self.known_start(begin);
        self.show_revoked(at, &came);
        self.show_placed(at, (start, begin.latest), true);
        let (from, first) = (self.begins_at(start), self.first_in_history());
        let unread = self.pick_unread(group, start);
        let (handouts, freed) = self.books.on_seek(group, |batch, _, kept| {
            batch.first_time(start.pick(batch, kept)).and(within(batch, 0, first))
        });
        let mut link = self.links.remove(at);
        (link.halted, link.start, link.latest, link.replay) = (false, start, begin.latest, None);
        if planted(Bug::UnwrittenSeek) {
            let _ = done.send(Ok(()));
        } else {
            self.place_in_log(&link, (&handouts, &unread, from), done, |log, topic, place, told| {
                log.seek(topic, group.0, place, told);
            });
        }
        for (batch, open) in handouts {
            self.offer(&mut link, batch, open);
        }
        self.hand_unread(&mut link, unread);
        link.replay = Replay::new(from, self.books.next_offset(), Ranges::default(), 0);
        self.links.insert(at, link);
        self.free(freed);
        self.feed(group);
    }
}
