//! Against a map: what is in a stream, whatever was added, deleted and trimmed, and what it costs.

use proptest::prelude::*;

use super::super::change::GroupChange;
use super::super::{Blame, Claimable, Keep, Limits, Policy, Read, Refs, Release, Trim};
use super::*;
use crate::base::varint::Take;

#[derive(Clone, Debug)]
enum Step {
    Add(u64, u64, usize),
    Delete(usize),
    Trim(Keep, Option<usize>, Refs),
    Read(u8, u8, usize, bool),
    Ack(u8, usize),
    Claim(u8, u8, usize),
    TakeOver(u8, u8, usize, u64),
    Release(u8, usize, Blame, Option<u64>, bool),
    Leave(u8, u8),
    Destroy(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let id = (0..40_u64, 0..3_u64).prop_map(|(millis, seq)| Id { millis, seq });
    let keep = prop_oneof![(0..30_usize).prop_map(Keep::Newest), id.prop_map(Keep::From)];
    let refs = prop_oneof![2 => Just(Refs::Keep), 1 => Just(Refs::Drop), 1 => Just(Refs::Acked)];
    let blame = prop_oneof![Just(Blame::Nobody), Just(Blame::Consumer), Just(Blame::Entry)];
    prop_oneof![
        6 => (0..4_u64, 0..3_u64, 0..30_usize).prop_map(|(millis, seq, len)| Step::Add(millis, seq, len)),
        3 => (0..60_usize).prop_map(Step::Delete),
        1 => (keep, prop::option::of(0..9_usize), refs).prop_map(|(keep, about, refs)| Step::Trim(keep, about, refs)),
        3 => (0..2_u8, 0..3_u8, 1..9_usize, any::<bool>()).prop_map(|(g, c, n, ack)| Step::Read(g, c, n, ack)),
        2 => (0..2_u8, 0..60_usize).prop_map(|(g, at)| Step::Ack(g, at)),
        2 => (0..2_u8, 0..3_u8, 0..60_usize).prop_map(|(g, c, at)| Step::Claim(g, c, at)),
        2 => (0..2_u8, 0..3_u8, 1..5_usize, 0..9_u64).prop_map(|(g, c, n, idle)| Step::TakeOver(g, c, n, idle)),
        2 => (0..2_u8, 0..60_usize, blame, prop::option::of(0..4_u64), any::<bool>())
            .prop_map(|(g, at, blame, count, force)| Step::Release(g, at, blame, count, force)),
        1 => (0..2_u8, 0..3_u8).prop_map(|(g, c)| Step::Leave(g, c)),
        1 => (0..2_u8).prop_map(Step::Destroy),
    ]
}

/// Whether some group has still to be handed an entry, or to acknowledge it.
fn is_held(stream: &Stream, id: Id) -> bool {
    stream.groups.values().any(|group| group.last < id || group.pending.contains_key(&id))
}

/// An id that was added, or none there ever was.
fn some_id(all: &[Id], at: usize) -> Id {
    all.get(at).copied().unwrap_or(Id::MAX)
}

fn check(stream: &Stream, model: &BTreeMap<Id, Fields>) {
    let all: Vec<(Id, Fields)> = stream
        .range(Interval { from: Id::ZERO, to: Id::MAX })
        .map(|one| (one.id, one.fields.clone()))
        .collect();
    assert!(all.iter().map(|(id, fields)| (id, fields)).eq(model.iter()));
    assert_eq!(stream.len(), model.len());
    let back = stream.range(Interval { from: Id::ZERO, to: Id::MAX }).rev().map(|one| one.id);
    assert!(back.eq(model.keys().rev().copied()));
    assert!(stream.nodes.values().all(|node| node.live > 0));
    let mut cost: usize = model.values().map(|fields| fields.len() + ENTRY_COST).sum();
    for (name, group) in &stream.groups {
        let pending = group.pending_in(Interval { from: Id::ZERO, to: Id::MAX }, None);
        let mut shares: Vec<Id> = group.consumers().flat_map(|one| one.pending.iter().copied()).collect();
        shares.sort_unstable();
        let held = pending.filter(|(_, pending)| pending.consumer().is_some());
        assert!(held.map(|(id, _)| id).eq(shares), "each is whose it says it is");
        for (id, pending) in &group.pending {
            let consumer = pending.consumer().map(|name| group.consumer(name).unwrap());
            assert!(consumer.is_none_or(|consumer| consumer.pending.contains(id)));
        }
        let ages: Vec<_> = group.by_age().map(|(id, pending)| (pending.age(), id)).collect();
        assert!(ages.is_sorted() && ages.len() == group.pending(), "each is there in its turn");
        let free = group.pending.values().filter(|pending| pending.consumer().is_none());
        assert_eq!(free.count(), group.released());
        cost += name.len() + 160 + group.pending() * 176;
        cost += group.policy().dead_letter.as_ref().map_or(0, |key| key.len() + 160);
        cost += group.consumers().map(|one| one.name.len() + 160).sum::<usize>();
    }
    assert_eq!(stream.cost(), cost);
}

/// All there is to see of a stream, but for when consumers asked last.
fn view(stream: &Stream) -> (Vec<(Id, Fields)>, Vec<Change>, u64) {
    let all = stream.range(Interval { from: Id::ZERO, to: Id::MAX });
    let mut changes = stream.snapshot();
    for change in &mut changes {
        if let Change::Group { change: GroupChange::Met { seen, .. }, .. } = change {
            *seen = 0;
        }
    }
    (all.map(|one| (one.id, one.fields.clone())).collect(), changes, stream.next_offset())
}

/// Does again what was noted, as it is written and read.
fn again(twin: &mut Stream, changes: &[Change]) {
    let mut bytes = Vec::new();
    changes.iter().for_each(|change| change.encode(&mut bytes));
    let mut take = Take::new(&bytes);
    for change in changes {
        let read = Change::take(&mut take).unwrap();
        assert_eq!(read, *change);
        twin.apply(read);
    }
    assert!(take.is_empty());
}

/// A stream, one that does again what the first one notes, and all entries that there ever were.
struct Twins {
    twin: Stream,
    all: Vec<(Id, Fields)>,
    limits: Limits,
}

impl Twins {
    fn follow(&mut self, stream: &mut Stream) {
        let (changes, fresh) = stream.take_changes();
        fresh.iter().for_each(|(id, fields)| self.twin.add(*id, fields.clone(), self.limits));
        self.all.extend(fresh);
        again(&mut self.twin, &changes);
        assert_eq!(view(&self.twin), view(stream));
        assert_eq!(self.twin.cost(), stream.cost());
    }

    /// What a snapshot makes of the entries, of which those below the floor are not read.
    fn begins_anew(&self, stream: &Stream) {
        let floor = stream.floor();
        let mut other = Stream::from_offset(floor);
        let kept = usize::try_from(floor).unwrap();
        self.all[kept..].iter().for_each(|(id, fields)| other.add(*id, fields.clone(), self.limits));
        // Some of what was before, that no longer counts.
        other.create_group(b"old", Id::MAX, None);
        again(&mut other, &stream.snapshot());
        assert_eq!(view(&other), view(stream));
    }
}

proptest! {
    #[test]
    fn a_stream_is_a_map_that_is_added_to_at_its_end(
        steps in prop::collection::vec(step(), 1..120),
        node_entries in 1..6_usize,
    ) {
        let limits = Limits { node_entries, node_bytes: 200 };
        let (mut stream, mut model, mut all) = (Stream::default(), BTreeMap::new(), Vec::new());
        let mut twins = Twins { twin: Stream::default(), all: Vec::new(), limits };
        stream.record(true);
        let (groups, consumers) = ([b"g", b"h"], [b"x", b"y", b"z"]);
        for (now, step) in (1_u64..).zip(steps) {
            match step {
                Step::Add(millis, seq, len) => {
                    let given = GivenId::Whole(Id { millis: stream.last.millis + millis, seq });
                    let before = stream.last;
                    match stream.next_id(given, now) {
                        Ok(id) => {
                            prop_assert!(id > before);
                            let fields = Fields::new([&b"f"[..], &vec![b'v'; len]].into_iter());
                            model.insert(id, fields.clone());
                            all.push(id);
                            stream.add(id, fields, limits);
                        }
                        Err(why) => prop_assert_eq!(why, NoId::NotAbove),
                    }
                }
                Step::Delete(at) => {
                    let id = some_id(&all, at);
                    prop_assert_eq!(stream.delete(id), model.remove(&id).is_some());
                }
                Step::Trim(keep, about, refs) => {
                    let most = model.len();
                    let held: Vec<Id> = model.keys().filter(|id| is_held(&stream, **id)).copied().collect();
                    let gone = stream.trim(Trim { keep, about, refs });
                    let wanted = match keep {
                        Keep::Newest(many) => most.saturating_sub(many),
                        Keep::From(least) => model.range(..least).count(),
                    };
                    // About so many are those, or some fewer; and never more than they may be at once.
                    let exact = about.is_none() && refs != Refs::Acked;
                    prop_assert!(gone == wanted || !exact && gone < wanted);
                    prop_assert!(about.is_none_or(|limit| limit == 0 || gone <= limit));
                    let is_there = |id: &Id| stream.get(*id).is_some();
                    if refs == Refs::Acked {
                        prop_assert!(held.iter().all(is_there), "what groups hold stays");
                        model.retain(|id, _| is_there(id));
                        prop_assert_eq!(model.len() + gone, most);
                    } else {
                        let trimmed: Vec<Id> = model.keys().take(gone).copied().collect();
                        model.retain(|id, _| !trimmed.contains(id));
                        let pending = |id: &Id| stream.groups.values().any(|group| group.pending.contains_key(id));
                        prop_assert!(refs == Refs::Keep || !trimmed.iter().any(pending), "nobody holds what is gone");
                    }
                }
                Step::Read(group, consumer, most, no_ack) => {
                    let (group, consumer) = (groups[usize::from(group)], consumers[usize::from(consumer)]);
                    stream.create_group(group, Id::ZERO, None);
                    let last = stream.groups[&group[..]].last;
                    let read = Read { consumer, most, no_ack };
                    let (new, _) = match stream.read_new(group, read, now) {
                        Some((of, made)) => (stream.range(of).map(|one| one.id).collect(), made),
                        None => (Vec::new(), false),
                    };
                    let wanted: Vec<Id> = model.keys().filter(|id| **id > last).take(most).copied().collect();
                    prop_assert_eq!(new, wanted);
                }
                Step::Ack(group, at) => {
                    let group = groups[usize::from(group)];
                    let id = some_id(&all, at);
                    let there = stream.groups.get(&group[..]).is_some_and(|group| group.pending.contains_key(&id));
                    prop_assert_eq!(stream.ack(group, &[id, id]), usize::from(there));
                }
                Step::Claim(group, consumer, at) => {
                    let (group, consumer) = (groups[usize::from(group)], &consumers[usize::from(consumer)][..]);
                    let claim = super::super::Claim {
                        consumer, min_idle: 3, delivered: now, count: None, quiet: false, force: at % 2 == 0,
                    };
                    let ids = [some_id(&all, at)];
                    if let Some((claimed, _)) = stream.claim(group, (claim, &ids), now) {
                        prop_assert!(claimed.iter().all(|id| model.contains_key(id)));
                    }
                    let limit = (at % 3 == 0).then_some(2);
                    if let Some(done) = stream.auto_claim(group, (claim, limit, ids[0], 2), now) {
                        prop_assert!(done.claimed.iter().all(|id| model.contains_key(id)));
                        prop_assert!(done.gone.iter().all(|id| !model.contains_key(id)));
                        let count = |id: &Id| stream.groups[&group[..]].deliveries(*id);
                        prop_assert!(done.spent.iter().all(|id| count(id) >= Some(2) && limit.is_some()));
                        prop_assert!(done.claimed.iter().all(|id| limit.is_none() || count(id) <= Some(2)));
                    }
                }
                Step::TakeOver(group, consumer, most, min_idle) => {
                    let (group, consumer) = (groups[usize::from(group)], &consumers[usize::from(consumer)][..]);
                    let is_left = |(id, pending): &(&Id, &super::super::Pending)| {
                        stream.get(**id).is_some() && pending.idle(now) >= min_idle
                    };
                    let there = stream.groups.get(&group[..]).map(|group| &group.pending);
                    let mut wanted: Vec<_> = there.into_iter().flatten().filter(is_left).collect();
                    wanted.sort_by_key(|(id, pending)| (pending.age(), **id));
                    let all = wanted.into_iter().map(|(id, old)| (*id, old.idle(now), old.count()));
                    let limit = (min_idle % 2 == 0).then_some(2);
                    let (mut wanted, mut spent) = (Vec::new(), Vec::new());
                    for one in all {
                        if wanted.len() == most {
                            break;
                        }
                        if limit.is_some_and(|limit| one.2 >= limit) { spent.push(one.0) } else { wanted.push(one) }
                    }
                    let drops_gone = most % 3 == 0;
                    let of = Claimable { min_idle, limit, drops_gone };
                    let read = Read { consumer, most, no_ack: false };
                    let done = stream.take_over(group, (read, of), now).unwrap_or_default();
                    let found = done.taken.iter().map(|taken| (taken.id, taken.idle, taken.count));
                    prop_assert!(found.eq(wanted.iter().copied()));
                    prop_assert_eq!(done.spent, spent);
                    let dead_letter = (most % 2 == 0).then(|| b"some key"[..].into());
                    let policy = Policy { ack_timeout: limit, max_deliveries: None, dead_letter };
                    stream.set_policy(group, policy);
                    let is_mine = |id: Id| {
                        let group = &stream.groups[&group[..]];
                        group.pending[&id].consumer().is_some_and(|name| **name == *consumer)
                    };
                    prop_assert!(wanted.iter().all(|(id, ..)| is_mine(*id)));
                }
                Step::Release(group, at, blame, count, force) => {
                    let (group, id) = (groups[usize::from(group)], some_id(&all, at));
                    let before = stream.groups.get(&group[..]).and_then(|group| group.pending.get(&id));
                    let (was, old) = (before.is_some(), before.map_or(0, super::super::Pending::count));
                    let released = stream.release(group, (Release { blame, count, force }, &[id, id]));
                    let is_new = force && model.contains_key(&id) && stream.groups.contains_key(&group[..]);
                    prop_assert_eq!(released, if was || is_new { 2 } else { 0 });
                    if let Some(last) = stream.groups.get(&group[..]).and_then(|group| group.pending.get(&id)) {
                        let wanted = count.unwrap_or(match blame {
                            Blame::Nobody => old.saturating_sub(2),
                            Blame::Consumer => old,
                            Blame::Entry => i64::MAX.cast_unsigned(),
                        });
                        prop_assert_eq!((last.consumer(), last.count()), (None, wanted));
                    }
                }
                Step::Leave(group, consumer) => {
                    let (group, consumer) = (groups[usize::from(group)], consumers[usize::from(consumer)]);
                    let there = stream.groups.get(&group[..]).and_then(|group| group.consumer(consumer));
                    let pending = there.map_or(0, |consumer| consumer.pending());
                    prop_assert_eq!(stream.delete_consumer(group, consumer), pending);
                }
                Step::Destroy(group) => {
                    stream.destroy_group(groups[usize::from(group)]);
                }
            }
            check(&stream, &model);
            twins.follow(&mut stream);
        }
        twins.begins_anew(&stream);
    }

    /// Any interval, from either end.
    #[test]
    fn an_interval_is_what_lies_in_it(
        ids in prop::collection::btree_set((0..20_u64, 0..3_u64), 0..40),
        ends in [(0..22_u64, 0..3_u64), (0..22_u64, 0..3_u64)],
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let id = |(millis, seq)| Id { millis, seq: seq + 1 };
        let mut stream = Stream::default();
        let mut there: Vec<Id> = ids.into_iter().map(id).collect();
        for id in &there {
            let limits = Limits { node_entries: 4, node_bytes: 0 };
            stream.add(*id, Fields::new([&b"f"[..], b"v"].into_iter()), limits);
        }
        for at in gone {
            if !there.is_empty() {
                let id = there.remove(at.index(there.len()));
                stream.delete(id);
            }
        }
        let of = Interval { from: id(ends[0]), to: id(ends[1]) };
        let wanted: Vec<Id> = there.iter().filter(|id| of.from <= **id && **id <= of.to).copied().collect();
        let found: Vec<Id> = stream.range(of).map(|one| one.id).collect();
        prop_assert_eq!(&found, &wanted);
        let back: Vec<Id> = stream.range(of).rev().map(|one| one.id).collect();
        prop_assert!(back.iter().rev().eq(&wanted));
    }
}

/// As a client would number them by its clock, across the ends of what fits.
#[test]
fn ids_go_on_from_the_last_one() {
    let mut stream = Stream::default();
    let limits = Limits { node_entries: 0, node_bytes: 0 };
    let mut add = |given, now| {
        let id = stream.next_id(given, now)?;
        stream.add(id, Fields::new([].into_iter()), limits);
        Ok((id.millis, id.seq))
    };
    assert_eq!(add(GivenId::Millis(0), 0), Ok((0, 1)));
    assert_eq!(add(GivenId::Auto, 5), Ok((5, 0)));
    assert_eq!(add(GivenId::Auto, 4), Ok((5, 1)), "the clock went back");
    assert_eq!(add(GivenId::Millis(4), 9), Err(NoId::NotAbove));
    assert_eq!(add(GivenId::Whole(Id { millis: 6, seq: u64::MAX }), 9), Ok((6, u64::MAX)));
    assert_eq!(add(GivenId::Millis(6), 9), Err(NoId::NotAbove));
    assert_eq!(add(GivenId::Auto, 6), Ok((7, 0)));
    assert_eq!(add(GivenId::Whole(Id::MAX), 9), Ok((u64::MAX, u64::MAX)));
    assert_eq!(add(GivenId::Auto, 9), Err(NoId::Exhausted));
}
