//! Sets, and sets with a score for each member.

use std::collections::{BTreeMap, BTreeSet};

use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::keys::Value;
use crate::server::notify::Class;
use crate::server::resp::Aggregate;

const ADDS: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];
const TAKES: &[Flag] = &[Flag::Write, Flag::Fast];
const READS: &[Flag] = &[Flag::ReadOnly, Flag::Fast];

pub(super) const COMMANDS: &[Command] = &[
    Command { name: "sadd", arity: -3, flags: ADDS, keys: (1, 1, 1), run: sadd },
    Command { name: "srem", arity: -3, flags: TAKES, keys: (1, 1, 1), run: srem },
    Command { name: "scard", arity: 2, flags: READS, keys: (1, 1, 1), run: scard },
    Command { name: "smembers", arity: 2, flags: &[Flag::ReadOnly], keys: (1, 1, 1), run: smembers },
    Command { name: "zadd", arity: -4, flags: ADDS, keys: (1, 1, 1), run: zadd },
    Command { name: "zrem", arity: -3, flags: TAKES, keys: (1, 1, 1), run: zrem },
    Command { name: "zcard", arity: 2, flags: READS, keys: (1, 1, 1), run: zcard },
];

fn set<'a>(cx: &'a Context<'_, '_>) -> Result<Option<&'a BTreeSet<Vec<u8>>>, Failure> {
    match cx.world.keys.get(cx.state.db, cx.arg(1)) {
        None => Ok(None),
        Some(Value::Set(set)) => Ok(Some(set)),
        Some(_) => Err(Failure::WRONG_TYPE),
    }
}

fn sorted<'a>(cx: &'a Context<'_, '_>) -> Result<Option<&'a BTreeMap<Vec<u8>, f64>>, Failure> {
    match cx.world.keys.get(cx.state.db, cx.arg(1)) {
        None => Ok(None),
        Some(Value::SortedSet(set)) => Ok(Some(set)),
        Some(_) => Err(Failure::WRONG_TYPE),
    }
}

fn sadd(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let is_new = set(cx)?.is_none();
    let (db, key, members) = (cx.state.db, cx.request.get(1).unwrap_or_default(), cx.request.args().skip(2));
    let members = members.map(<[u8]>::to_vec);
    let added = if is_new {
        let set: BTreeSet<_> = members.collect();
        let added = set.len();
        cx.world.keys.set(db, key, Value::Set(set), None);
        added
    } else {
        let added = cx.world.keys.change(db, key, |value, cost| match value {
            Value::Set(set) => {
                members.filter(|member| set.insert(member.clone())).map(|m| cost.add(m.len())).count()
            }
            _ => 0,
        });
        added.unwrap_or(0)
    };
    if added > 0 {
        cx.world.notify(Class::Set, "sadd", db, key);
    }
    cx.out.integer(i64::try_from(added).unwrap_or(i64::MAX));
    Ok(())
}

fn srem(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    set(cx)?;
    remove(cx, Class::Set, "srem", |value, member| match value {
        Value::Set(set) => set.remove(member),
        _ => false,
    })
}

/// Takes members out of what is in the key.
fn remove(
    cx: &mut Context<'_, '_>,
    class: Class,
    event: &str,
    take: fn(&mut Value, &[u8]) -> bool,
) -> Result<(), Failure> {
    let (db, key, members) = (cx.state.db, cx.request.get(1).unwrap_or_default(), cx.request.args().skip(2));
    let gone = cx.world.keys.change(db, key, |value, cost| {
        members.filter(|member| take(value, member)).map(|member| cost.take(member.len())).count()
    });
    let gone = gone.unwrap_or(0);
    if gone > 0 {
        cx.world.notify(class, event, db, key);
        if cx.world.keys.get(db, key).is_none() {
            cx.world.notify(Class::Generic, "del", db, key);
        }
    }
    cx.out.integer(i64::try_from(gone).unwrap_or(i64::MAX));
    Ok(())
}

fn scard(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let many = set(cx)?.map_or(0, BTreeSet::len);
    cx.out.integer(i64::try_from(many).unwrap_or(i64::MAX));
    Ok(())
}

fn smembers(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let members: Vec<Vec<u8>> = set(cx)?.map_or(Vec::new(), |set| set.iter().cloned().collect());
    cx.out.begin(Aggregate::Set, members.len());
    members.iter().for_each(|member| cx.out.bulk(member));
    Ok(())
}

/// Without Redis's options.
fn zadd(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    if !cx.request.len().is_multiple_of(2) {
        return Err(Failure::SYNTAX);
    }
    let mut pairs = Vec::new();
    for at in (2..cx.request.len()).step_by(2) {
        let score = std::str::from_utf8(cx.arg(at)).ok().and_then(|text| text.parse::<f64>().ok());
        let score =
            score.filter(|score| !score.is_nan()).ok_or(Failure::err("value is not a valid float"))?;
        pairs.push((cx.arg(at + 1).to_vec(), score));
    }
    let is_new = sorted(cx)?.is_none();
    let (db, key, mut added) = (cx.state.db, cx.request.get(1).unwrap_or_default(), 0);
    let mut changed = is_new;
    if is_new {
        let set: BTreeMap<_, _> = pairs.into_iter().collect();
        added = set.len();
        cx.world.keys.set(db, key, Value::SortedSet(set), None);
    } else {
        cx.world.keys.change(db, key, |value, cost| {
            if let Value::SortedSet(set) = value {
                for (member, score) in pairs {
                    let len = member.len();
                    let before = set.insert(member, score);
                    changed |= before != Some(score);
                    if before.is_none() {
                        cost.add(len);
                        added += 1;
                    }
                }
            }
        });
    }
    if changed {
        cx.world.notify(Class::SortedSet, "zadd", db, key);
    }
    cx.out.integer(i64::try_from(added).unwrap_or(i64::MAX));
    Ok(())
}

fn zrem(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    sorted(cx)?;
    remove(cx, Class::SortedSet, "zrem", |value, member| match value {
        Value::SortedSet(set) => set.remove(member).is_some(),
        _ => false,
    })
}

fn zcard(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let many = sorted(cx)?.map_or(0, BTreeMap::len);
    cx.out.integer(i64::try_from(many).unwrap_or(i64::MAX));
    Ok(())
}
