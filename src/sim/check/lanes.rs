//! Do ordered groups begin what must wait for each other one at a time, and in order?

use std::collections::BTreeMap;

use super::{End, Finds, GroupKey, History, What};
use crate::broker::Order;

/// What is known of the messages of one group that wait for each other.
#[derive(Default)]
struct Lane {
    /// Began, and is not done with: the only one that may begin.
    at: Option<u64>,
    /// The latest first attempt.
    last: Option<u64>,
}

/// P6: in a group with an order, a message begins only once all before it of its lane are done with: acked, dropped, or
/// given up. What was redriven is out of the order, but begins beside no other.
pub(super) fn is_kept(history: &History, finds: &mut Finds<'_>) {
    let mut keys: Keys<'_> = BTreeMap::new();
    let mut lanes: BTreeMap<(GroupKey, u64), Lane> = BTreeMap::new();
    let mut failures: BTreeMap<(GroupKey, u64), u32> = BTreeMap::new();
    let (redriven, is_old) = (history.redriven(), history.is_old());
    for what in history.whats() {
        match what {
            What::Accepted { topic, base, keys: these, .. } => {
                let offsets = *base..;
                keys.extend(offsets.zip(these).map(|(offset, key)| ((topic.as_str(), offset), key.get())));
            }
            What::Began { group, id, attempt, .. } => {
                let Some(lane) = lane_of(history, &keys, *group, id.offset()) else { continue };
                let lane = lanes.entry((*group, lane)).or_default();
                let (name, offset) = (history.name(*group), id.offset());
                if let Some(other) = lane.at.filter(|at| *at != offset) {
                    finds.say(format_args!("{name} began {id} before {other} was done with"));
                }
                lane.at = Some(offset);
                if *attempt == 1 && !redriven.contains_key(&(*group, offset)) {
                    if let Some(last) = lane.last.filter(|last| *last > offset) {
                        finds.say(format_args!("{name} began {id} after {last}, out of order"));
                    }
                    lane.last = Some(offset);
                }
            }
            What::Placed { group, .. } => {
                lanes.retain(|(other, _), _| other != group);
                failures.retain(|(other, _), _| other != group);
            }
            What::Dead { group, id, .. } => free(&mut lanes, history, &keys, *group, id.offset()),
            What::Removed { group, from, to } => {
                (*from..*to).for_each(|offset| free(&mut lanes, history, &keys, *group, offset));
            }
            What::Ended { group, id, how, .. } => {
                let of = (*group, id.offset());
                let most = history.groups.get(group.0).map_or(1, |facts| facts.max_attempts);
                let done = match how {
                    End::Acked | End::Dropped | End::Rejected => true,
                    End::Failed | End::TimedOut => {
                        let failed = failures.entry(of).or_default();
                        *failed += 1;
                        // An earlier process may have seen the others fail.
                        *failed >= most || is_old(*group, id.offset())
                    }
                    _ => false,
                };
                if done {
                    failures.remove(&of);
                    free(&mut lanes, history, &keys, *group, id.offset());
                }
            }
            _ => {}
        }
    }
}

type Keys<'a> = BTreeMap<(&'a str, u64), u64>;

/// A message is done with, in some way.
fn free(
    lanes: &mut BTreeMap<(GroupKey, u64), Lane>,
    history: &History,
    keys: &Keys<'_>,
    group: GroupKey,
    offset: u64,
) {
    let lane = lane_of(history, keys, group, offset).and_then(|lane| lanes.get_mut(&(group, lane)));
    if let Some(lane) = lane {
        lane.at = lane.at.filter(|at| *at != offset);
    }
}

fn lane_of(history: &History, keys: &Keys<'_>, group: GroupKey, offset: u64) -> Option<u64> {
    let facts = history.groups.get(group.0)?;
    match facts.order {
        Order::Shared => None,
        Order::Exclusive => Some(0),
        Order::Keyed => keys.get(&(facts.topic.as_str(), offset)).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply;
    use super::super::made_up::Story;
    use super::*;

    /// Offsets 0 and 2 have one key, 1 and 3 another; groups have two attempts.
    fn story(order: Order) -> Story {
        Story::of(&["g"]).ordered("g", order).accepted_with_keys(0, &["a", "b", "a", "b"]).offered("g", 0, 4)
    }

    #[test]
    fn what_begins_before_its_turn_is_found() {
        let keyed = || story(Order::Keyed);
        let good = keyed().attempt("g", 0, 1, End::Failed).attempt("g", 1, 1, End::Acked);
        let good = good.attempt("g", 0, 2, End::Failed).attempt("g", 2, 1, End::Acked);
        assert_eq!(apply(is_kept, &good.clone().end()), [""; 0], "a key that fails keeps no other");
        assert_eq!(apply(is_kept, &good.began("g", 1, 3, 1).end()), [""; 0]);
        let overtakes = keyed().attempt("g", 0, 1, End::Failed).attempt("g", 2, 1, End::Acked);
        assert_eq!(apply(is_kept, &overtakes.end()).len(), 1);
        let together = keyed().began("g", 1, 0, 1).began("g", 2, 2, 1);
        assert_eq!(apply(is_kept, &together.end()).len(), 1);
        let backwards = keyed().attempt("g", 2, 1, End::Acked).attempt("g", 0, 1, End::Acked);
        assert_eq!(apply(is_kept, &backwards.end()).len(), 1);
        let released = keyed().attempt("g", 0, 1, End::Released).attempt("g", 2, 1, End::Acked);
        assert_eq!(apply(is_kept, &released.end()).len(), 1, "it comes again, and first");
    }

    #[test]
    fn an_exclusive_group_has_one_lane() {
        let at_once = |order| story(order).began("g", 1, 0, 1).began("g", 1, 1, 1);
        assert_eq!(apply(is_kept, &at_once(Order::Exclusive).end()).len(), 1);
        assert_eq!(apply(is_kept, &at_once(Order::Keyed).end()), [""; 0]);
        assert_eq!(apply(is_kept, &at_once(Order::Shared).end()), [""; 0]);
    }
}
