//! Dead letters: what a group was to have no more than so often goes to a stream of its own, where somebody can look at it.

use crate::server::keys::Value;
use crate::server::notify::Class;
use crate::server::stream::{Fields, GivenId, Id, Stream};
use crate::server::world::World;

/// What is written of one beside its fields, and rather more.
const COST: usize = 128;

/// What a group hands over so often is a dead letter. `None`: there is no limit, or for now no place for dead letters. It is handed over once
/// more then, and not held back where nobody would see it.
pub(super) fn limit(world: &World, (db, key): (usize, &[u8]), group: &[u8]) -> Option<u64> {
    let policy = world.keys.stream(db, key).ok()??.groups.get(group)?.policy();
    let limit = policy.max_deliveries?;
    let dead = policy.dead_letter_of(key, group);
    let takes_more = world.keys.stream(db, &dead).ok()?.is_none_or(|dead| dead.last < Id::MAX);
    // Its own key it may be since the stream was renamed.
    (takes_more && dead != key && !world.is_out_of_memory()).then_some(limit)
}

/// Puts pending entries of a group into the stream of its dead letters, behind their own fields what is told of them, and takes them from what is
/// pending.
pub(super) fn bury(world: &mut World, (db, key): (usize, &[u8]), group: &[u8], ids: &[Id], now: u64) {
    let Ok(Some(stream)) = world.keys.stream(db, key) else { return };
    let Some(of) = stream.groups.get(group) else { return };
    let dead = of.policy().dead_letter_of(key, group);
    let most = world.keeper.as_ref().map_or(usize::MAX, |keeper| keeper.most_entry());
    // Both are in one commit, of the four times so much that one has room for: what there is no room for is pending still, and spent.
    let mut room = most.saturating_mul(2).saturating_sub(world.keys.untold().unwrap_or(0));
    let fits = |(_, letter): &(Id, Fields)| {
        let left = room.checked_sub(letter.len() + COST);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let letters = ids.iter().filter_map(|id| Some((*id, letter(stream, (group, *id), most)?)));
    let letters: Vec<(Id, Fields)> = letters.take_while(fits).collect();
    // None: no stream is made for them.
    if letters.is_empty() {
        return;
    }
    if matches!(world.keys.stream(db, &dead), Ok(None)) {
        world.keys.set(db, &dead, Value::Stream(Box::default()), None);
    }
    let limits = world.config.nodes;
    let add = |stream: &mut Stream| {
        let add = |(id, letter)| {
            stream.add(stream.next_id(GivenId::Auto, now).ok()?, letter, limits);
            Some(id)
        };
        letters.into_iter().map_while(add).collect::<Vec<_>>()
    };
    // Those for which there was no id any more are pending still.
    let buried = world.keys.change_stream(db, &dead, add).unwrap_or_default();
    world.keys.change_stream(db, key, |stream| stream.ack(group, &buried));
    world.mark(db, &dead);
    world.watched.mark(db, key);
    buried.iter().for_each(|_| world.notify(Class::Stream, "xadd", db, &dead));
}

/// What is told of a dead letter is left out where it has no room.
fn letter(stream: &Stream, (group, id): (&[u8], Id), most: usize) -> Option<Fields> {
    let fields = stream.get(id)?.fields;
    let count = stream.groups.get(group)?.deliveries(id)?;
    let (id, attempts) = (id.to_string(), count.to_string());
    let told: [&[u8]; 6] = [
        b"dead.reason",
        b"it was handed over as often as its group allows, and never acknowledged",
        b"dead.id",
        id.as_bytes(),
        b"dead.attempts",
        attempts.as_bytes(),
    ];
    let parts: Vec<&[u8]> = fields.parts().1.chain(told).collect();
    let letter = Fields::new(parts.into_iter());
    Some(if letter.len() > most { fields.clone() } else { letter })
}
