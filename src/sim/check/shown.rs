//! How events are shown to whoever reads them.

use std::fmt;

use super::{GroupKey, History, What};

/// An event with its group's name.
pub(super) struct Shown<'a>(pub(super) &'a History, pub(super) &'a What);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |key: &GroupKey| self.0.name(*key);
        match self.1 {
            What::Opened(group) => write!(f, "{} opened", name(group)),
            What::Joined(group) => write!(f, "{} joined", name(group)),
            What::Accepted { topic, base, len, .. } => {
                write!(f, "{topic} accepted {base}..{}", base + u64::from(*len))
            }
            What::Scheduled { topic, number, due } => write!(f, "{topic} has delayed {number} until {due:?}"),
            What::Moved { topic, number, due, id } => {
                write!(f, "{topic} moved delayed {number}, due {due:?}, to {id}")
            }
            What::Unscheduled { topic, number } => write!(f, "{topic} gave delayed {number} back"),
            What::Offered { group, base, runs } => write!(f, "{} offered {base}+{runs:?}", name(group)),
            What::Began { group, consumer, id, attempt } => {
                write!(f, "{} consumer {consumer} began {id}, attempt {attempt}", name(group))
            }
            What::Ended { group, consumer, id, attempt, how } => {
                write!(f, "{} consumer {consumer} ended {id}, attempt {attempt}: {how:?}", name(group))
            }
            What::Hired { group, consumer } => write!(f, "{} has consumer {consumer}", name(group)),
            What::Rebuilt { group, consumer } => write!(f, "{} consumer {consumer} rebuilt", name(group)),
            What::Broken { group, failed } => {
                let failed = if *failed { ", the group failed" } else { "" };
                write!(f, "{} a consumer could not be built{failed}", name(group))
            }
            What::Gone { group, consumer } => write!(f, "{} consumer {consumer} gone", name(group)),
            What::Evicted { topic, offset } => write!(f, "{topic} evicted {offset}"),
            What::Removed { group, from, to } => write!(f, "{} loses {from}..{to} to a limit", name(group)),
            What::Settled { group, from, to } => write!(f, "{} settled {from}..{to}", name(group)),
            What::Dead { group, id, attempts, .. } => {
                write!(f, "{} dead-lettered {id} after {attempts} attempts", name(group))
            }
            What::Redriven { group, offset } => write!(f, "{} has {offset} back", name(group)),
            What::MayBegin { group, most: u64::MAX } => write!(f, "{} may begin", name(group)),
            What::MayBegin { group, most } => write!(f, "{} may begin {most} and no more", name(group)),
            What::Handed { group, lease, weight } => {
                write!(f, "{} handed out {lease}, of {weight}", name(group))
            }
            What::Returned { group, lease } => write!(f, "{} has {lease} back", name(group)),
            What::Limited { group, limit } => write!(f, "{} has the limit {limit:?}", name(group)),
            What::Placed { group, start, floor, moved, .. } => {
                let how = if *moved { "is moved to" } else { "begins at" };
                write!(f, "{} {how} {start:?}, floor {floor:?}", name(group))
            }
            What::Resumed { group, ahead } => write!(f, "{} goes on, from {ahead} on", name(group)),
            What::InLine { topic, base, messages } => {
                write!(f, "{topic} ends with {messages} from {base} on in its line")
            }
            What::Lost { topic, offset } => write!(f, "{topic} has lost {offset}"),
            What::LetsGo(group) => write!(f, "{} lets go of all", name(group)),
            What::Revoked { group, from, to } => {
                write!(f, "{} is not handed {from}..{to}", name(group))
            }
            What::PassedBy { group, from, to, messages } => {
                write!(f, "{} does without {messages} of {from}..{to}", name(group))
            }
            What::Kept { topic, floor, held, .. } => {
                write!(f, "{topic} keeps all from {floor} on, {held} in memory")
            }
            What::Seeks(group) => write!(f, "{} is to be moved", name(group)),
            What::Sought(group) => write!(f, "{} was moved", name(group)),
            What::Browses { topic, browse, at, back } => {
                write!(f, "browse {browse} of {topic} {} {at}", if *back { "before" } else { "from" })
            }
            What::Browsed { browse, offset } => write!(f, "browse {browse} shows {offset:?}"),
            What::Left(group) => write!(f, "{} left", name(group)),
            What::Over(group) => write!(f, "{} over", name(group)),
            What::Tried { topic, value } => write!(f, "publishing {value} to {topic}"),
            What::Confirmed { topic, value, id } => write!(f, "published {value} to {topic} as {id}"),
            What::Delayed { topic, value, number } => {
                write!(f, "{value} is to be published to {topic} later, as delayed {number}")
            }
            What::Withdrawn { topic, value } => write!(f, "asks {topic} to give {value} back"),
            What::Refused { topic, value } => write!(f, "refused {value} to {topic}"),
            What::Cancelled { topic, value } => write!(f, "dropped the publish of {value} to {topic}"),
            What::Handled { group, id, value, .. } => write!(f, "{} saw {value} in {id}", name(group)),
            What::Recovered { topic, next } => write!(f, "{topic} goes on at {next}"),
            What::Letter { topic, group, id } => {
                write!(f, "the clerk of {topic}.{group} has the letter of {id}")
            }
            What::Calm => f.write_str("faults off"),
            What::Stalled(group) => write!(f, "{} stands still", name(group)),
            What::Quiet => f.write_str("quiet"),
            What::Killed => f.write_str("killed"),
        }
    }
}
