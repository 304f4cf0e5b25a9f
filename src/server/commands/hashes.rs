//! Hashes: fields with values in a key.

use std::collections::BTreeMap;

use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::keys::Value;
use crate::server::notify::Class;
use crate::server::resp::parse_i64;

const ADDS: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];

pub(super) const COMMANDS: &[Command] = &[
    Command { name: "hset", arity: -4, flags: ADDS, keys: (1, 1, 1), run: hset },
    Command { name: "hmset", arity: -4, flags: ADDS, keys: (1, 1, 1), run: hmset },
    Command { name: "hincrby", arity: 4, flags: ADDS, keys: (1, 1, 1), run: hincrby },
    Command { name: "hget", arity: 3, flags: &[Flag::ReadOnly, Flag::Fast], keys: (1, 1, 1), run: hget },
    Command { name: "hgetall", arity: 2, flags: &[Flag::ReadOnly], keys: (1, 1, 1), run: hgetall },
];

type Hash = BTreeMap<Vec<u8>, Vec<u8>>;
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn hash<'a>(cx: &'a Context<'_, '_>) -> Result<Option<&'a Hash>, Failure> {
    match cx.world.keys.get(cx.state.db, cx.arg(1)) {
        None => Ok(None),
        Some(Value::Hash(hash)) => Ok(Some(hash)),
        Some(_) => Err(Failure::WRONG_TYPE),
    }
}

/// Sets fields; answers how many of them are new.
fn set(cx: &mut Context<'_, '_>, fields: Fields, event: &str) -> Result<usize, Failure> {
    let is_new = hash(cx)?.is_none();
    let (db, key, mut added) = (cx.state.db, cx.request.get(1).unwrap_or_default(), 0);
    if is_new {
        let hash: Hash = fields.into_iter().collect();
        added = hash.len();
        cx.world.keys.set(db, key, Value::Hash(hash), None);
    } else {
        cx.world.keys.change(db, key, |is, cost| {
            if let Value::Hash(hash) = is {
                for (field, value) in fields {
                    let (name, len) = (field.len(), value.len());
                    cost.add(name + len);
                    match hash.insert(field, value) {
                        None => added += 1,
                        Some(old) => cost.take(name + old.len()),
                    }
                }
            }
        });
    }
    cx.world.notify(Class::Hash, event, db, key);
    Ok(added)
}

/// The fields that a request names, each with its value.
fn pairs(cx: &Context<'_, '_>, name: &str) -> Result<Fields, Failure> {
    if !cx.request.len().is_multiple_of(2) {
        return Err(Failure::arity(name));
    }
    Ok((2..cx.request.len()).step_by(2).map(|at| (cx.arg(at).to_vec(), cx.arg(at + 1).to_vec())).collect())
}

fn hset(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let fields = pairs(cx, "hset")?;
    let added = set(cx, fields, "hset")?;
    cx.out.integer(i64::try_from(added).unwrap_or(i64::MAX));
    Ok(())
}

fn hmset(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let fields = pairs(cx, "hmset")?;
    set(cx, fields, "hset")?;
    cx.out.ok();
    Ok(())
}

fn hincrby(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let by = cx.integer(3)?;
    let field = cx.arg(2).to_vec();
    let number = match hash(cx)?.and_then(|hash| hash.get(&field)) {
        None => 0,
        Some(value) => parse_i64(value).ok_or(Failure::err("hash value is not an integer"))?,
    };
    let number = number.checked_add(by).ok_or(Failure::err("increment or decrement would overflow"))?;
    set(cx, vec![(field, number.to_string().into_bytes())], "hincrby")?;
    cx.out.integer(number);
    Ok(())
}

fn hget(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let value = hash(cx)?.and_then(|hash| hash.get(cx.arg(2))).cloned();
    match value {
        Some(value) => cx.out.bulk(&value),
        None => cx.out.null(),
    }
    Ok(())
}

fn hgetall(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let hash = hash(cx)?.cloned().unwrap_or_default();
    cx.out.map(hash.len());
    for (field, value) in &hash {
        cx.out.bulk(field);
        cx.out.bulk(value);
    }
    Ok(())
}
