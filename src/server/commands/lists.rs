//! Lists: values in a row.

use std::collections::VecDeque;

use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::keys::Value;
use crate::server::notify::Class;

const ADDS: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];
const TAKES: &[Flag] = &[Flag::Write, Flag::Fast];

pub(super) const COMMANDS: &[Command] = &[
    Command { name: "lpush", arity: -3, flags: ADDS, keys: (1, 1, 1), run: lpush },
    Command { name: "rpush", arity: -3, flags: ADDS, keys: (1, 1, 1), run: rpush },
    Command { name: "lpop", arity: -2, flags: TAKES, keys: (1, 1, 1), run: lpop },
    Command { name: "rpop", arity: -2, flags: TAKES, keys: (1, 1, 1), run: rpop },
    Command { name: "llen", arity: 2, flags: &[Flag::ReadOnly, Flag::Fast], keys: (1, 1, 1), run: llen },
    Command { name: "lrange", arity: 4, flags: &[Flag::ReadOnly], keys: (1, 1, 1), run: lrange },
];

fn list<'a>(cx: &'a Context<'_, '_>) -> Result<Option<&'a VecDeque<Vec<u8>>>, Failure> {
    match cx.world.keys.get(cx.state.db, cx.arg(1)) {
        None => Ok(None),
        Some(Value::List(list)) => Ok(Some(list)),
        Some(_) => Err(Failure::WRONG_TYPE),
    }
}

fn lpush(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    push(cx, "lpush", VecDeque::push_front)
}

fn rpush(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    push(cx, "rpush", VecDeque::push_back)
}

fn push(
    cx: &mut Context<'_, '_>,
    event: &str,
    add: fn(&mut VecDeque<Vec<u8>>, Vec<u8>),
) -> Result<(), Failure> {
    let before = list(cx)?.map_or(0, VecDeque::len);
    let (db, key, values) = (cx.state.db, cx.request.get(1).unwrap_or_default(), cx.request.args().skip(2));
    let values = values.map(<[u8]>::to_vec);
    let many = before + cx.request.len() - 2;
    if before == 0 {
        let mut list = VecDeque::new();
        values.for_each(|value| add(&mut list, value));
        cx.world.keys.set(db, key, Value::List(list), None);
    } else {
        cx.world.keys.change(db, key, |value, cost| {
            if let Value::List(list) = value {
                for value in values {
                    cost.add(value.len());
                    add(list, value);
                }
            }
        });
    }
    cx.world.notify(Class::List, event, db, key);
    cx.out.integer(i64::try_from(many).unwrap_or(i64::MAX));
    Ok(())
}

fn lpop(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    pop(cx, "lpop", VecDeque::pop_front)
}

fn rpop(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    pop(cx, "rpop", VecDeque::pop_back)
}

fn pop(
    cx: &mut Context<'_, '_>,
    event: &str,
    take: fn(&mut VecDeque<Vec<u8>>) -> Option<Vec<u8>>,
) -> Result<(), Failure> {
    let many = match cx.request.len() {
        2 => None,
        3 => {
            let many = cx.integer(2).ok().and_then(|many| usize::try_from(many).ok());
            Some(many.ok_or(Failure::err("value is out of range, must be positive"))?)
        }
        _ => return Err(Failure::arity(event)),
    };
    let there = list(cx)?.is_some();
    let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
    let taken = cx.world.keys.change(db, key, |value, cost| match value {
        Value::List(list) => {
            let taken = std::iter::from_fn(|| take(list)).take(many.unwrap_or(1));
            taken.inspect(|value| cost.take(value.len())).collect()
        }
        _ => Vec::new(),
    });
    let taken = taken.unwrap_or_default();
    match (many, taken.first()) {
        (Some(_), _) if there => {
            cx.out.array(taken.len());
            taken.iter().for_each(|value| cx.out.bulk(value));
        }
        (Some(_), _) => cx.out.null_array(),
        (None, Some(value)) => cx.out.bulk(value),
        (None, None) => cx.out.null(),
    }
    if taken.is_empty() {
        return Ok(());
    }
    cx.world.notify(Class::List, event, db, key);
    if cx.world.keys.get(db, key).is_none() {
        cx.world.notify(Class::Generic, "del", db, key);
    }
    Ok(())
}

fn llen(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let many = list(cx)?.map_or(0, VecDeque::len);
    cx.out.integer(i64::try_from(many).unwrap_or(i64::MAX));
    Ok(())
}

fn lrange(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let (from, to) = (cx.integer(2)?, cx.integer(3)?);
    let values: Vec<Vec<u8>> = list(cx)?.map_or(Vec::new(), |list| {
        let len = i64::try_from(list.len()).unwrap_or(i64::MAX);
        // From the end, if it is negative.
        let index = |at: i64| if at < 0 { len.saturating_add(at) } else { at };
        let (from, to) = (index(from).max(0), index(to).saturating_add(1).clamp(0, len));
        let range = |at: i64| usize::try_from(at).unwrap_or(0);
        list.iter().take(range(to)).skip(range(from)).cloned().collect()
    });
    cx.out.array(values.len());
    values.iter().for_each(|value| cx.out.bulk(value));
    Ok(())
}
