//! What is pending: listing it, and taking over what others left lying.

use super::{
    bury, change, count, group, is, name_fits, no_key_or_group, number, put_entry, put_ids, put_len,
    put_number,
};
use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::notify::Class;
use crate::server::resp::Aggregate;
use crate::server::stream::{Claim, Id, Interval};

const FLAGS: &[Flag] = &[Flag::Write, Flag::Fast, Flag::WakesNobody];

pub(in crate::server::commands) const COMMANDS: &[Command] = &[
    Command { name: "xpending", arity: -3, flags: &[Flag::ReadOnly], keys: (1, 1, 1), run: xpending },
    Command { name: "xclaim", arity: -6, flags: FLAGS, keys: (1, 1, 1), run: xclaim },
    Command { name: "xautoclaim", arity: -6, flags: FLAGS, keys: (1, 1, 1), run: xautoclaim },
];

/// How many `XAUTOCLAIM` takes over if it is not told.
const MOST: usize = 100;
/// The most that it can be told: as many ids as fit into Redis's memory.
const MOST_COUNT: i64 = i64::MAX / 16;

fn xpending(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    match cx.request.len() {
        3 => summary(cx),
        6..=9 => listing(cx),
        _ => Err(Failure::SYNTAX),
    }
}

fn summary(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let group = group(cx, 1, 2, no_key_or_group)?.1;
    let ends = group.pending_ends();
    let total = group.pending();
    let shares = group.consumers().filter(|consumer| consumer.pending() > 0);
    let shares: Vec<_> = shares.map(|consumer| (consumer.name().clone(), consumer.pending())).collect();
    cx.out.array(4);
    put_len(cx.out, total);
    let Some((first, last)) = ends else {
        cx.out.null();
        cx.out.null();
        cx.out.null_array();
        return Ok(());
    };
    cx.out.bulk_of(first);
    cx.out.bulk_of(last);
    cx.out.array(shares.len());
    for (name, pending) in shares {
        cx.out.array(2);
        cx.out.bulk(&name);
        cx.out.bulk_of(pending);
    }
    Ok(())
}

fn listing(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let mut at = 3;
    let mut min_idle = 0;
    if is(cx, 3, "idle") {
        min_idle = u64::try_from(cx.integer(4)?).unwrap_or(0);
        if cx.request.len() < 8 {
            return Err(Failure::SYNTAX);
        }
        at = 5;
    }
    let most = count(cx, at + 2)?;
    let of = Interval::parse(cx.arg(at), cx.arg(at + 1))?;
    let now = cx.millis;
    let group = group(cx, 1, 2, no_key_or_group)?.1;
    let whose = cx.request.get(at + 3);
    let consumer = whose.and_then(|name| group.consumer(name));
    let mut lines = Vec::new();
    if whose.is_none() || consumer.is_some() {
        let old = group.pending_in(of, consumer).filter(|(_, pending)| pending.is_left(min_idle, now));
        lines.extend(old.take(most).map(|(id, pending)| (id, pending.clone())));
    }
    cx.out.array(lines.len());
    for (id, pending) in lines {
        cx.out.array(4);
        cx.out.bulk_of(id);
        match pending.consumer() {
            Some(consumer) => {
                cx.out.bulk(consumer);
                put_number(cx.out, pending.idle(now));
            }
            // Nobody has it.
            None => {
                cx.out.bulk(b"");
                cx.out.integer(-1);
            }
        }
        put_number(cx.out, pending.count());
    }
    Ok(())
}

fn xclaim(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    group(cx, 1, 2, no_key_or_group)?;
    name_fits(cx, 3)?;
    let min_idle = number(cx, 4, "Invalid min-idle-time argument for XCLAIM")?;
    let ids: Vec<Id> = (5..cx.request.len()).map_while(|at| Id::parse(cx.arg(at), 0)).collect();
    let (mut at, now) = (5 + ids.len(), cx.millis);
    let (mut delivered, mut times, mut last) = (None, None, Id::ZERO);
    let (mut force, mut quiet) = (false, false);
    while at < cx.request.len() {
        let more = at + 1 < cx.request.len();
        if is(cx, at, "force") {
            force = true;
        } else if is(cx, at, "justid") {
            quiet = true;
        } else if is(cx, at, "idle") && more {
            let idle = number(cx, at + 1, "Invalid IDLE option argument for XCLAIM")?;
            delivered = Some(i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(idle));
            at += 1;
        } else if is(cx, at, "time") && more {
            delivered = Some(number(cx, at + 1, "Invalid TIME option argument for XCLAIM")?);
            at += 1;
        } else if is(cx, at, "retrycount") && more {
            times = u64::try_from(number(cx, at + 1, "Invalid RETRYCOUNT option argument for XCLAIM")?).ok();
            at += 1;
        } else if is(cx, at, "lastid") && more {
            last = super::id(cx, at + 1)?;
            at += 1;
        } else {
            let option = String::from_utf8_lossy(cx.arg(at)).into_owned();
            return Err(Failure::say(format!("Unrecognized XCLAIM option '{option}'")));
        }
        at += 1;
    }
    // What lies ahead, or before all time, is now.
    let delivered = delivered.and_then(|at| u64::try_from(at).ok()).filter(|at| *at <= now).unwrap_or(now);
    let (name, consumer) = (cx.request.get(2).unwrap_or_default(), cx.request.get(3).unwrap_or_default());
    let min_idle = u64::try_from(min_idle).unwrap_or(0);
    let claim = Claim { consumer, min_idle, delivered, count: times, quiet, force };
    let claimed = change(cx, 1, |stream| {
        if let Some((at, read)) = stream.groups.get(name).map(|group| (group.last, group.read)) {
            stream.set_group(name, at.max(last), read);
        }
        stream.claim(name, (claim, &ids), now)
    })?;
    let (claimed, made) = claimed.unwrap_or_default();
    if delivered < now {
        // It may be left lying for long enough sooner than who waits for that looks.
        let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
        cx.world.waiting.nudge(db, key);
    }
    hand_over(cx, &claimed, (quiet, made));
    Ok(())
}

/// Writes what a consumer has now.
fn hand_over(cx: &mut Context<'_, '_>, claimed: &[Id], (ids_alone, made): (bool, bool)) {
    let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
    if made {
        cx.world.notify(Class::Stream, "xgroup-createconsumer", db, key);
    }
    if ids_alone {
        return put_ids(cx.out, claimed);
    }
    let Ok(Some(stream)) = cx.world.keys.stream(db, key) else { return cx.out.array(0) };
    let entries = claimed.iter().filter_map(|id| stream.get(*id));
    cx.out.counted(Aggregate::Array, |out| entries.map(|entry| put_entry(out, entry)).count());
}

fn xautoclaim(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let min_idle = number(cx, 4, "Invalid min-idle-time argument for XAUTOCLAIM")?;
    let from = Interval::parse_from(cx.arg(5))?;
    let (mut most, mut quiet, mut at) = (MOST, false, 6);
    while at < cx.request.len() {
        if is(cx, at, "count") && at + 1 < cx.request.len() {
            let error = "COUNT must be > 0";
            let count = number(cx, at + 1, error)?;
            if !(1..=MOST_COUNT).contains(&count) {
                return Err(Failure::err(error));
            }
            most = usize::try_from(count).unwrap_or(usize::MAX);
            at += 1;
        } else if is(cx, at, "justid") {
            quiet = true;
        } else {
            return Err(Failure::SYNTAX);
        }
        at += 1;
    }
    group(cx, 1, 2, no_key_or_group)?;
    name_fits(cx, 3)?;
    let (name, consumer) = (cx.request.get(2).unwrap_or_default(), cx.request.get(3).unwrap_or_default());
    let (now, min_idle) = (cx.millis, u64::try_from(min_idle).unwrap_or(0));
    let claim = Claim { consumer, min_idle, delivered: now, count: None, quiet, force: false };
    let place = (cx.state.db, cx.request.get(1).unwrap_or_default());
    let limit = bury::limit(cx.world, place, name);
    let done = change(cx, 1, |stream| stream.auto_claim(name, (claim, limit, from, most), now))?;
    let done = done.unwrap_or_default();
    bury::bury(cx.world, place, name, &done.spent, now);
    cx.out.array(3);
    cx.out.bulk_of(done.next);
    hand_over(cx, &done.claimed, (quiet, done.made));
    put_ids(cx.out, &done.gone);
    Ok(())
}
