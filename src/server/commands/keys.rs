//! Keys, whatever is in them.

use std::time::Duration;

use crate::base::Moment;
use crate::server::command::{Command, Context, Failure, Flag, Run};
use crate::server::glob::matches;
use crate::server::notify::Class;
use crate::server::resp::Aggregate;

const fn reads(name: &'static str, arity: i32, run: Run) -> Command {
    Command { name, arity, flags: &[Flag::ReadOnly, Flag::Fast], keys: (1, 1, 1), run }
}

const fn writes(name: &'static str, arity: i32, keys: (i32, i32, i32), run: Run) -> Command {
    Command { name, arity, flags: &[Flag::Write], keys, run }
}

pub(super) const COMMANDS: &[Command] = &[
    writes("del", -2, (1, -1, 1), del),
    writes("unlink", -2, (1, -1, 1), del),
    Command {
        name: "exists",
        arity: -2,
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: (1, -1, 1),
        run: exists,
    },
    reads("type", 2, kind),
    writes("rename", 3, (1, 2, 1), rename),
    writes("renamenx", 3, (1, 2, 1), renamenx),
    writes("expire", -3, (1, 1, 1), expire),
    writes("pexpire", -3, (1, 1, 1), pexpire),
    writes("persist", 2, (1, 1, 1), persist),
    reads("ttl", 2, ttl),
    reads("pttl", 2, pttl),
    Command { name: "keys", arity: 2, flags: &[Flag::ReadOnly], keys: (0, 0, 0), run: keys },
    Command { name: "scan", arity: -2, flags: &[Flag::ReadOnly], keys: (0, 0, 0), run: scan },
    Command { name: "dbsize", arity: 1, flags: &[Flag::ReadOnly, Flag::Fast], keys: (0, 0, 0), run: dbsize },
    Command { name: "flushdb", arity: -1, flags: &[Flag::Write], keys: (0, 0, 0), run: flushdb },
    Command { name: "flushall", arity: -1, flags: &[Flag::Write], keys: (0, 0, 0), run: flushall },
];

fn del(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let mut gone = 0;
    for key in cx.request.args().skip(1) {
        if cx.world.keys.remove(cx.state.db, key).is_some() {
            gone += 1;
            cx.world.notify(Class::Generic, "del", cx.state.db, key);
        }
    }
    cx.out.integer(gone);
    Ok(())
}

fn exists(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let there = |key: &&[u8]| cx.world.keys.get(cx.state.db, key).is_some();
    let many = cx.request.args().skip(1).filter(there).count();
    cx.out.integer(i64::try_from(many).unwrap_or(i64::MAX));
    Ok(())
}

fn kind(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let kind = cx.world.keys.get(cx.state.db, cx.arg(1)).map_or("none", |value| value.kind());
    cx.out.status(kind);
    Ok(())
}

fn rename(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let [from, to] = [1, 2].map(|at| cx.request.get(at).unwrap_or_default());
    if !cx.world.keys.rename(cx.state.db, from, to) {
        return Err(Failure::NO_SUCH_KEY);
    }
    cx.world.notify(Class::Generic, "rename_from", cx.state.db, from);
    cx.world.notify(Class::Generic, "rename_to", cx.state.db, to);
    // A group of that name may do something else by itself.
    cx.world.waiting.nudge(cx.state.db, to);
    cx.out.ok();
    Ok(())
}

fn renamenx(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let db = cx.state.db;
    if cx.world.keys.get(db, cx.arg(1)).is_none() {
        return Err(Failure::NO_SUCH_KEY);
    }
    if cx.world.keys.get(db, cx.arg(2)).is_some() {
        cx.out.integer(0);
        return Ok(());
    }
    cx.world.keys.rename(db, cx.request.get(1).unwrap_or_default(), cx.request.get(2).unwrap_or_default());
    cx.world.notify(Class::Generic, "rename_from", db, cx.request.get(1).unwrap_or_default());
    cx.world.notify(Class::Generic, "rename_to", db, cx.request.get(2).unwrap_or_default());
    cx.out.integer(1);
    Ok(())
}

fn expire(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    expire_in(cx, "expire", 1000)
}

fn pexpire(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    expire_in(cx, "pexpire", 1)
}

fn expire_in(cx: &mut Context<'_, '_>, name: &str, unit: i64) -> Result<(), Failure> {
    let when = When::parse(cx)?;
    let millis = cx.integer(2)?.checked_mul(unit);
    // Redis counts from 1970, and refuses what is too much for that.
    let ends = millis.and_then(|millis| millis.checked_add(i64::try_from(cx.millis).unwrap_or(i64::MAX)));
    let invalid = || Failure::say(format!("invalid expire time in '{name}' command"));
    let millis = millis.filter(|_| ends.is_some()).ok_or_else(invalid)?;
    let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
    let before = cx.world.keys.expires(db, key);
    let at = cx.now + Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    if !before.is_some_and(|before| when.allows(before, at)) {
        cx.out.integer(0);
        return Ok(());
    }
    match u64::try_from(millis) {
        Ok(1..) => {
            cx.world.keys.expire(db, key, Some(at));
            cx.world.notify(Class::Generic, "expire", db, key);
        }
        // What is over already goes at once.
        _ => {
            cx.world.keys.remove(db, key);
            cx.world.notify(Class::Generic, "del", db, key);
        }
    }
    cx.out.integer(1);
    Ok(())
}

/// Under which conditions a key gets another end.
#[derive(Default)]
struct When {
    has_none: bool,
    has_one: bool,
    later: bool,
    earlier: bool,
}

impl When {
    fn parse(cx: &Context<'_, '_>) -> Result<When, Failure> {
        let mut when = When::default();
        for at in 3..cx.request.len() {
            match cx.word(at).as_str() {
                "nx" => when.has_none = true,
                "xx" => when.has_one = true,
                "gt" => when.later = true,
                "lt" => when.earlier = true,
                _ => {
                    let option = String::from_utf8_lossy(cx.arg(at)).into_owned();
                    return Err(Failure::say(format!("Unsupported option {option}")));
                }
            }
        }
        let When { has_none, has_one, later, earlier } = when;
        if has_none && (has_one || later || earlier) {
            return Err(Failure::err("NX and XX, GT or LT options at the same time are not compatible"));
        }
        if later && earlier {
            return Err(Failure::err("GT and LT options at the same time are not compatible"));
        }
        Ok(when)
    }

    /// A key without an end has the latest one.
    fn allows(&self, before: Option<Moment>, at: Moment) -> bool {
        !(self.has_none && before.is_some()
            || self.has_one && before.is_none()
            || self.later && before.is_none_or(|before| at <= before)
            || self.earlier && before.is_some_and(|before| at >= before))
    }
}

fn persist(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
    let had = matches!(cx.world.keys.expires(db, key), Some(Some(_)));
    if had {
        cx.world.keys.expire(db, key, None);
        cx.world.notify(Class::Generic, "persist", db, key);
    }
    cx.out.integer(had.into());
    Ok(())
}

fn ttl(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    left(cx, 1000)
}

fn pttl(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    left(cx, 1)
}

/// Rounded to the nearest, as Redis does.
fn left(cx: &mut Context<'_, '_>, unit: u128) -> Result<(), Failure> {
    let number = match cx.world.keys.expires(cx.state.db, cx.arg(1)) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => i64::try_from((at.since(cx.now).as_millis() + unit / 2) / unit).unwrap_or(i64::MAX),
    };
    cx.out.integer(number);
    Ok(())
}

fn keys(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let (keys, pattern, db) = (&cx.world.keys, cx.request.get(1).unwrap_or_default(), cx.state.db);
    cx.out.counted(Aggregate::Array, |out| {
        keys.names(db, None).filter(|key| matches(pattern, key)).map(|key| out.bulk(key)).count()
    });
    Ok(())
}

/// What is there all the time is given once, in order.
fn scan(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let cursor = std::str::from_utf8(cx.arg(1)).ok().and_then(|text| text.parse::<u64>().ok());
    let cursor = cursor.ok_or(Failure::err("invalid cursor"))?;
    let (mut pattern, mut count, mut kind) = (&b"*"[..], 10, None);
    for at in (2..cx.request.len()).step_by(2) {
        let value = cx.request.get(at + 1).ok_or(Failure::SYNTAX)?;
        match cx.word(at).as_str() {
            "match" => pattern = value,
            "count" => {
                count =
                    usize::try_from(cx.integer(at + 1)?).ok().filter(|n| *n > 0).ok_or(Failure::SYNTAX)?;
            }
            "type" => kind = Some(cx.word(at + 1)),
            _ => return Err(Failure::SYNTAX),
        }
    }
    let behind = match cursor {
        0 => None,
        cursor => Some(cx.world.scans.behind(cursor).ok_or(Failure::err("invalid cursor"))?.to_vec()),
    };
    let (keys, db) = (&cx.world.keys, cx.state.db);
    let mut names = keys.names(db, behind.as_deref());
    let some: Vec<&[u8]> = names.by_ref().take(count).collect();
    let last = some.last().filter(|_| names.next().is_some());
    cx.out.array(2);
    cx.out.bulk_of(last.map_or(0, |last| cx.world.scans.go_on(cursor, last)));
    cx.out.counted(Aggregate::Array, |out| {
        let is_kind = |key: &&&[u8]| {
            kind.as_ref().is_none_or(|kind| keys.get(db, key).is_some_and(|value| value.kind() == kind))
        };
        some.iter().filter(|key| matches(pattern, key)).filter(is_kind).map(|key| out.bulk(key)).count()
    });
    Ok(())
}

fn dbsize(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.out.integer(i64::try_from(cx.world.keys.len(cx.state.db)).unwrap_or(i64::MAX));
    Ok(())
}

fn flush_option(cx: &Context<'_, '_>) -> Result<(), Failure> {
    match (cx.request.len(), cx.word(1).as_str()) {
        (1, _) | (2, "sync" | "async") => Ok(()),
        _ => Err(Failure::SYNTAX),
    }
}

fn flushdb(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    flush_option(cx)?;
    cx.world.keys.clear(cx.state.db);
    cx.out.ok();
    Ok(())
}

fn flushall(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    flush_option(cx)?;
    (0..crate::server::keys::DATABASES).for_each(|db| cx.world.keys.clear(db));
    cx.out.ok();
    Ok(())
}
