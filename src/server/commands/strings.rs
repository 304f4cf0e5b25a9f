//! Strings: one value in a key.

use std::time::Duration;

use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::keys::Value;
use crate::server::notify::Class;

const WRITES: &[Flag] = &[Flag::Write, Flag::DenyOom];

pub(super) const COMMANDS: &[Command] = &[
    Command { name: "set", arity: -3, flags: WRITES, keys: (1, 1, 1), run: set },
    Command { name: "setex", arity: 4, flags: WRITES, keys: (1, 1, 1), run: setex },
    Command { name: "psetex", arity: 4, flags: WRITES, keys: (1, 1, 1), run: psetex },
    Command { name: "get", arity: 2, flags: &[Flag::ReadOnly, Flag::Fast], keys: (1, 1, 1), run: get },
    Command { name: "incr", arity: 2, flags: WRITES, keys: (1, 1, 1), run: incr },
];

fn get(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    match cx.world.keys.get(cx.state.db, cx.arg(1)) {
        None => cx.out.null(),
        Some(Value::String(value)) => cx.out.bulk(value),
        Some(_) => return Err(Failure::WRONG_TYPE),
    }
    Ok(())
}

fn set(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let (mut only, mut time, mut get, mut keep) = (None, None, false, false);
    let mut at = 3;
    while at < cx.request.len() {
        match cx.word(at).as_str() {
            "nx" if only != Some(true) => only = Some(false),
            "xx" if only != Some(false) => only = Some(true),
            "get" => get = true,
            "keepttl" if time.is_none() => keep = true,
            unit @ ("ex" | "px" | "exat" | "pxat")
                if time.is_none() && !keep && at + 1 < cx.request.len() =>
            {
                at += 1;
                let millis = if unit.starts_with('e') { 1000 } else { 1 };
                time = Some(whole_time(cx, at, (millis, unit.ends_with("at")), "set")?);
            }
            _ => return Err(Failure::SYNTAX),
        }
        at += 1;
    }
    let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
    let before = match (get, cx.world.keys.get(db, key)) {
        (true, Some(Value::String(value))) => Some(value.clone()),
        (true, Some(_)) => return Err(Failure::WRONG_TYPE),
        _ => None,
    };
    let there = cx.world.keys.get(db, key).is_some();
    let done = only.is_none_or(|wanted| wanted == there);
    if done {
        let kept = cx.world.keys.expires(db, key).flatten().filter(|_| keep);
        put(cx, 2, time.map(|time| cx.now + time).or(kept));
        if time.is_some() {
            cx.world.notify(Class::Generic, "expire", db, key);
        }
    }
    match (get, before, done) {
        (true, Some(before), _) => cx.out.bulk(&before),
        (true, None, _) | (false, _, false) => cx.out.null(),
        (false, _, true) => cx.out.ok(),
    }
    Ok(())
}

fn setex(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    set_for(cx, "setex", 1000)
}

fn psetex(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    set_for(cx, "psetex", 1)
}

fn set_for(cx: &mut Context<'_, '_>, name: &str, unit: i64) -> Result<(), Failure> {
    let time = whole_time(cx, 2, (unit, false), name)?;
    put(cx, 3, Some(cx.now + time));
    cx.world.notify(Class::Generic, "expire", cx.state.db, cx.request.get(1).unwrap_or_default());
    cx.out.ok();
    Ok(())
}

/// Puts an argument into the key.
fn put(cx: &mut Context<'_, '_>, value: usize, expires: Option<crate::base::Moment>) {
    let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
    let value = Value::String(cx.arg(value).to_vec());
    cx.world.keys.set(db, key, value, expires);
    cx.world.notify(Class::String, "set", db, key);
}

/// A time that a key is to have, which can't be none; or, since 1970, when it ends.
fn whole_time(
    cx: &Context<'_, '_>,
    index: usize,
    (unit, since_1970): (i64, bool),
    name: &str,
) -> Result<Duration, Failure> {
    let number = Some(cx.integer(index)?).filter(|number| *number > 0);
    let now = i64::try_from(cx.millis).unwrap_or(i64::MAX);
    let millis = number.and_then(|number| number.checked_mul(unit));
    // Redis counts from 1970, and refuses what is too much for that.
    let millis = millis.and_then(|millis| {
        if since_1970 { Some(millis.saturating_sub(now)) } else { millis.checked_add(now).and(Some(millis)) }
    });
    let millis = millis.ok_or_else(|| Failure::say(format!("invalid expire time in '{name}' command")))?;
    Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

fn incr(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
    let number = match cx.world.keys.get(db, key) {
        None => 0,
        Some(Value::String(value)) => crate::server::resp::parse_i64(value).ok_or(Failure::NOT_AN_INTEGER)?,
        Some(_) => return Err(Failure::WRONG_TYPE),
    };
    let next = number.checked_add(1).ok_or(Failure::err("increment or decrement would overflow"))?;
    let expires = cx.world.keys.expires(db, key).flatten();
    cx.world.keys.set(db, key, Value::String(next.to_string().into_bytes()), expires);
    cx.world.notify(Class::String, "incrby", db, key);
    cx.out.integer(next);
    Ok(())
}
