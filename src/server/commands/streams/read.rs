//! Reading what is new, or pending, of several streams at once, and waiting for it.

use std::time::Duration;

use super::{
    bury, count, id, is, name_fits, no_group, put_entries, put_entry, put_number, put_parts, stream,
};
use crate::base::Moment;
use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::notify::Class;
use crate::server::resp::{Aggregate, Protocol, Replies};
use crate::server::state::Waits;
use crate::server::stream::{Claimable, Entry, Id, Interval, Read, Stream, TakeOver, TakenOver};
use crate::server::waiting::{GroupRead, Waiter};
use crate::server::world::World;

pub(in crate::server::commands) const COMMANDS: &[Command] = &[
    Command { name: "xread", arity: -4, flags: &[Flag::ReadOnly], keys: (0, 0, 0), run: xread },
    Command {
        name: "xreadgroup",
        arity: -7,
        flags: &[Flag::Write, Flag::WakesNobody],
        keys: (0, 0, 0),
        run: xreadgroup,
    },
];

/// What is asked for.
struct Asked {
    group: Option<GroupRead>,
    most: usize,
    /// Present if it may wait: until then, or for ever.
    wait: Option<Option<Moment>>,
    /// Where its keys begin, and how many there are.
    keys: (usize, usize),
}

fn xread(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let asked = Asked::parse(cx, false)?;
    read(cx, asked)
}

fn xreadgroup(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let asked = Asked::parse(cx, true)?;
    read(cx, asked)
}

impl Asked {
    fn parse(cx: &Context<'_, '_>, grouped: bool) -> Result<Asked, Failure> {
        let mut asked = Asked { group: None, most: usize::MAX, wait: None, keys: (0, 0) };
        let (mut at, mut no_ack, mut claim, last) = (1, false, None, cx.request.len() - 1);
        while at <= last {
            let more = last - at;
            if is(cx, at, "block") && more > 0 {
                asked.wait = Some(until(cx, at + 1)?);
                at += 2;
            } else if is(cx, at, "count") && more > 0 {
                // None is no limit.
                asked.most = match count(cx, at + 1)? {
                    0 => usize::MAX,
                    most => most,
                };
                at += 2;
            } else if is(cx, at, "streams") && more > 0 {
                asked.keys = keys(at + 1, more)?;
                break;
            } else if is(cx, at, "group") && more > 1 {
                only_grouped(
                    grouped,
                    "The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                )?;
                name_fits(cx, at + 2)?;
                let (group, consumer) = (cx.arg(at + 1).to_vec(), cx.arg(at + 2).to_vec());
                asked.group = Some(GroupRead { group, consumer, no_ack, claim });
                at += 3;
            } else if is(cx, at, "claim") && more > 0 {
                only_grouped(
                    grouped,
                    "The CLAIM option is only supported by XREADGROUP. You called XREAD instead.",
                )?;
                let idle = super::number(cx, at + 1, "min-idle-time is not an integer or out of range")?;
                let idle = u64::try_from(idle);
                claim = Some(idle.map_err(|_| Failure::err("min-idle-time must be a positive integer"))?);
                at += 2;
            } else if is(cx, at, "noack") {
                only_grouped(
                    grouped,
                    "The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                )?;
                no_ack = true;
                at += 1;
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        if asked.keys.1 == 0 {
            return Err(Failure::SYNTAX);
        }
        match &mut asked.group {
            None if grouped => return Err(Failure::err("Missing GROUP option for XREADGROUP")),
            Some(group) => (group.no_ack, group.claim) = (no_ack, claim),
            None => {}
        }
        Ok(asked)
    }
}

fn only_grouped(grouped: bool, error: &'static str) -> Result<(), Failure> {
    if grouped { Ok(()) } else { Err(Failure::err(error)) }
}

/// Until when it may wait.
fn until(cx: &Context<'_, '_>, at: usize) -> Result<Option<Moment>, Failure> {
    let millis = super::number(cx, at, "timeout is not an integer or out of range")?;
    let millis = u64::try_from(millis).map_err(|_| Failure::err("timeout is negative"))?;
    Ok(if millis == 0 { None } else { Some(cx.now + Duration::from_millis(millis)) })
}

fn keys(at: usize, many: usize) -> Result<(usize, usize), Failure> {
    match many % 2 {
        0 => Ok((at, many / 2)),
        _ => Err(Failure::err(
            "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        )),
    }
}

/// Behind which id of a key it is to read; the greatest stands for what its group was not handed yet.
fn behind(cx: &Context<'_, '_>, key: usize, at: usize, group: Option<&GroupRead>) -> Result<Id, Failure> {
    let stream = stream(cx, key)?;
    if let Some(GroupRead { group, .. }) = group
        && !stream.is_some_and(|stream| stream.groups.contains_key(group.as_slice()))
    {
        return Err(no_group(cx.arg(key), group, |key, group| {
            format!("No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option")
        }));
    }
    match (cx.arg(at), group) {
        (b"$", Some(_)) => Err(Failure::err(
            "The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
        )),
        (b"$", None) => Ok(stream.map_or(Id::ZERO, |stream| stream.last)),
        (b">", None) => Err(Failure::err(
            "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        (b">", Some(_)) => Ok(Id::MAX),
        _ => id(cx, at),
    }
}

fn read(cx: &mut Context<'_, '_>, mut asked: Asked) -> Result<(), Failure> {
    let (from, many) = asked.keys;
    let ids = (from..from + many).map(|key| behind(cx, key, key + many, asked.group.as_ref()));
    let ids: Vec<Id> = ids.collect::<Result<_, _>>()?;
    let (mut served, mut out) = (0, Vec::new());
    let mut replies = Replies::new(&mut out, cx.out.protocol());
    for (key, behind) in (from..).zip(&ids) {
        // Who reads again what it has claims nothing any more, not of the streams behind that one either: so it is with Redis.
        if let Some(group) = asked.group.as_mut().filter(|_| *behind < Id::MAX) {
            group.claim = None;
        }
        let key = cx.request.get(key).unwrap_or_default();
        served += usize::from(serve_key(
            cx.world,
            (cx.state.db, key, *behind),
            (asked.group.as_ref(), asked.most),
            cx.millis,
            &mut replies,
        ));
    }
    if served > 0 {
        begin(cx.out, served);
        cx.out.written(&out);
        return Ok(());
    }
    let Some(until) = asked.wait.filter(|_| !cx.state.executing) else {
        cx.out.null_array();
        return Ok(());
    };
    let keys = (from..from + many).map(|key| cx.arg(key).to_vec()).zip(ids).collect();
    let (client, protocol, db) = (cx.client.clone(), cx.out.protocol(), cx.state.db);
    let waiter = Waiter { client, protocol, db, keys, group: asked.group, most: asked.most };
    let look = waiter.next_look(cx.world, cx.millis).map(|wait| cx.now + wait);
    let fresh =
        |(key, _): &(Vec<u8>, Id)| has_new(cx.world, (db, key), waiter.group.as_ref()).then(|| key.clone());
    let fresh: Vec<Vec<u8>> = waiter.keys.iter().filter_map(fresh).collect();
    let number = cx.world.waiting.add(waiter);
    // Dead letters of one that came into another that had been looked at: nobody was there to be woken by them.
    fresh.iter().for_each(|key| cx.world.waiting.mark(db, key));
    cx.state.waits = Some(Waits { number, until, look, silent: false });
    Ok(())
}

/// Whether a stream has what its group was not handed yet.
fn has_new(world: &World, (db, key): (usize, &[u8]), group: Option<&GroupRead>) -> bool {
    let (Ok(Some(stream)), Some(group)) = (world.keys.stream(db, key), group) else { return false };
    let last = stream.groups.get(group.group.as_slice()).map(|group| group.last);
    stream.newest().map(|newest| newest.id) > last
}

/// Begins what is answered of so many streams.
fn begin(out: &mut Replies<'_>, streams: usize) {
    match out.protocol() {
        Protocol::Resp2 => out.array(streams),
        Protocol::Resp3 => out.map(streams),
    }
}

/// Writes what there is of a stream, if there is something.
fn serve_key(
    world: &mut World,
    (db, key, behind): (usize, &[u8], Id),
    (group, most): (Option<&GroupRead>, usize),
    now: u64,
    out: &mut Replies<'_>,
) -> bool {
    let Some(group) = group else {
        let Ok(Some(stream)) = world.keys.stream(db, key) else { return false };
        let Some(from) =
            behind.next().filter(|from| stream.newest().is_some_and(|newest| newest.id >= *from))
        else {
            return false;
        };
        name(out, key);
        put_entries(out, stream.range(Interval { from, to: Id::MAX }).take(most));
        return true;
    };
    let read = Read { consumer: &group.consumer, most, no_ack: group.no_ack };
    let made = if behind == Id::MAX {
        let claims = claims_after(world, (db, key), group).map(|min_idle| {
            let limit = bury::limit(world, (db, key), &group.group);
            // Who claims looks after what is gone itself; who has no code for that can't.
            Claimable { min_idle, limit, drops_gone: group.claim.is_none() }
        });
        let hand_over = |stream: &mut Stream| hand_over(stream, (&group.group, read, claims), now);
        let Some((TakeOver { taken, spent, made }, new)) = world.keys.change_stream(db, key, hand_over)
        else {
            return false;
        };
        bury::bury(world, (db, key), &group.group, &spent, now);
        if taken.is_empty() && new.is_none() {
            return false;
        }
        let Ok(Some(stream)) = world.keys.stream(db, key) else { return false };
        name(out, key);
        let new = new.into_iter().flat_map(|of| stream.range(of));
        match group.claim {
            None => put_entries(out, taken.iter().filter_map(|taken| stream.get(taken.id)).chain(new)),
            Some(_) => put_claimed(out, (stream, &taken), new),
        }
        made
    } else {
        let again = world
            .keys
            .change_stream(db, key, |stream| stream.read_again(&group.group, (read, behind), now))
            .flatten();
        let Some((ids, made)) = again else { return false };
        let Ok(Some(stream)) = world.keys.stream(db, key) else { return false };
        name(out, key);
        put_pending(out, stream, &ids);
        made
    };
    world.watched.mark(db, key);
    if made {
        world.notify(Class::Stream, "xgroup-createconsumer", db, key);
    }
    true
}

/// Hands a consumer what it claims, and what is new as far as it wants that much.
fn hand_over(
    stream: &mut Stream,
    (group, read, claims): (&[u8], Read<'_>, Option<Claimable>),
    now: u64,
) -> (TakeOver, Option<Interval>) {
    let claim = claims.and_then(|of| stream.take_over(group, (read, of), now));
    let mut done = claim.unwrap_or_default();
    let read = Read { most: read.most - done.taken.len(), ..read };
    let new = if read.most > 0 { stream.read_new(group, read, now) } else { None };
    done.made |= new.is_some_and(|(_, made)| made);
    (done, new.map(|(of, _)| of))
}

/// Each with how long nobody had touched it, and how often it had been handed over.
fn put_claimed<'a>(
    out: &mut Replies<'_>,
    (stream, taken): (&'a Stream, &[TakenOver]),
    new: impl Iterator<Item = Entry<'a>>,
) {
    let taken = taken.iter().filter_map(|taken| Some((stream.get(taken.id)?, taken.idle, taken.count)));
    out.counted(Aggregate::Array, |out| {
        let all = taken.chain(new.map(|entry| (entry, 0, 0)));
        let put = |(entry, idle, count)| {
            put_parts(out, entry, 4);
            put_number(out, idle);
            put_number(out, count);
        };
        all.map(put).count()
    });
}

/// How long a stream's entries have to be left lying until a group's reader is handed them: as long as it asks for, or as the group was told. One
/// that acknowledges all at once is handed no such ones unless it asks.
pub(in crate::server) fn claims_after(
    world: &World,
    (db, key): (usize, &[u8]),
    read: &GroupRead,
) -> Option<u64> {
    let of_group =
        || world.keys.stream(db, key).ok()??.groups.get(read.group.as_slice())?.policy().ack_timeout;
    read.claim.or_else(|| of_group().filter(|_| !read.no_ack))
}

/// When a stream's first pending entry has been left lying for so long.
pub(in crate::server) fn left_at(world: &World, (db, key): (usize, &[u8]), read: &GroupRead) -> Option<u64> {
    let claims = claims_after(world, (db, key), read)?;
    world.keys.stream(db, key).ok()??.left_at(&read.group, claims)
}

fn name(out: &mut Replies<'_>, key: &[u8]) {
    if out.protocol() == Protocol::Resp2 {
        out.array(2);
    }
    out.bulk(key);
}

/// Those that are gone have no fields.
fn put_pending(out: &mut Replies<'_>, stream: &Stream, ids: &[Id]) {
    out.counted(Aggregate::Array, |out| {
        for id in ids {
            match stream.get(*id) {
                Some(Entry { id, fields }) => put_entry(out, Entry { id, fields }),
                None => {
                    out.array(2);
                    out.bulk_of(id);
                    out.null_array();
                }
            }
        }
        ids.len()
    });
}

/// Answers a client that waits for a key, if there is something for it.
///
/// # Errors
/// What it waits for will not come: its group, or the key, is gone.
pub(in crate::server) fn serve(
    world: &mut World,
    (waiter, key): (&Waiter, &[u8]),
    now: u64,
    out: &mut Replies<'_>,
) -> Result<bool, Failure> {
    if let Some(group) = &waiter.group {
        match world.keys.stream(waiter.db, key) {
            // Also if there is something else now.
            Err(_) | Ok(None) => return Err(Failure::new("UNBLOCKED", "the stream key no longer exists")),
            Ok(Some(stream)) if !stream.groups.contains_key(group.group.as_slice()) => {
                return Err(Failure::new(
                    "NOGROUP",
                    "the consumer group this client was blocked on no longer exists",
                ));
            }
            Ok(Some(_)) => {}
        }
    }
    let behind = waiter.keys.iter().find(|(of, _)| of == key).map_or(Id::MAX, |(_, behind)| *behind);
    let mut written = Vec::new();
    let mut replies = Replies::new(&mut written, out.protocol());
    let of = (waiter.db, key, behind);
    if !serve_key(world, of, (waiter.group.as_ref(), waiter.most), now, &mut replies) {
        return Ok(false);
    }
    begin(out, 1);
    out.written(&written);
    Ok(true)
}
