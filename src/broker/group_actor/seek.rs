//! A group that is moved: it lets go of all that it has, and begins anew elsewhere.
//!
//! ```text
//!   Steer::Seek ──▶ nothing more is handed out; what consumers are at goes on to its end
//!        └─ nothing in flight, nothing parked ──▶ the topic stops handing to it, and says so
//!                  └─ what was on its way is here ──▶ all that it has is skipped ──▶ the topic begins anew where it was told
//! ```

use super::Life;
use crate::base::{Bug, planted};
use crate::broker::GroupState;
use crate::broker::start::Begin;
use crate::broker::topic_actor::TopicWord;
use crate::log::LogError;
use crate::mailbox::Reply;

/// A group on its way to another place.
pub(super) struct Seeking {
    to: Begin,
    done: Reply<Result<(), LogError>>,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Consumers are at work still.
    Ends,
    /// The topic was asked to hand out nothing.
    Asked,
    /// It does not; so many handouts may be on their way.
    Stopped { to_come: usize },
}

impl<T: Send + Sync + 'static> Life<T> {
    pub(super) fn begin_seek(&mut self, to: Begin, done: Reply<Result<(), LogError>>) {
        self.seeks.push_back(Seeking { to, done, step: Step::Ends });
        self.take_back_all();
    }

    /// The topic hands out nothing.
    pub(super) fn on_stopped(&mut self) {
        let to_come = self.actor.mailbox.waiting();
        if let Some(seeking) = self.seeks.front_mut() {
            seeking.step = Step::Stopped { to_come };
        }
    }

    /// A handout was taken in.
    pub(super) fn note_seek(&mut self) {
        if let Some(Seeking { step: Step::Stopped { to_come }, .. }) = self.seeks.front_mut() {
            *to_come = to_come.saturating_sub(1);
        }
    }

    /// Goes on with a seek, as far as it can by now. Answers whether there is something to carry out.
    pub(super) fn go_on_seeking(&mut self) -> bool {
        let counts = self.ledger.counts();
        let at_rest = counts.in_flight == 0 && counts.parked == 0 || planted(Bug::HastySeek);
        let waiting = self.actor.mailbox.waiting();
        if self.state == GroupState::Stopping {
            // Unanswered: it stays where it is.
            self.seeks.clear();
        }
        let Some(seeking) = self.seeks.front_mut() else { return false };
        match seeking.step {
            Step::Ends if at_rest => {
                seeking.step = Step::Asked;
                drop(self.actor.topic.control(TopicWord::Halt { group: self.actor.id }));
                false
            }
            // Why at rest: what came since may have been given up meanwhile, and is settled once it is a dead letter.
            Step::Stopped { to_come } if at_rest && (to_come == 0 || waiting == 0) => {
                self.ledger.skip_all(&mut self.effects);
                let now = self.actor.rt.now();
                // What it skips the topic hears before it begins anew. Why not the log: that it is moved, and that alone, says it
                // there; so the next process finds it here or there, with all that it has, wherever this one ends.
                let keeper = self.actor.keeper.take();
                self.carry_out(now);
                self.actor.keeper = keeper;
                if let Some(Seeking { to, done, .. }) = self.seeks.pop_front() {
                    let word = TopicWord::Seek { group: self.actor.id, start: to, done };
                    drop(self.actor.topic.control(word));
                }
                true
            }
            Step::Ends | Step::Asked | Step::Stopped { .. } => false,
        }
    }
}
