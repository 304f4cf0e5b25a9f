//! What is to be known of a stream, its groups and their consumers.

use super::{count, group, is, no_group_of_key, put_entries, put_entry, put_len, put_number, stream};
use crate::server::command::{Command, Context, Failure, Flag, Run};
use crate::server::commands::table::help;
use crate::server::resp::Replies;
use crate::server::stream::{Consumer, Entry, Id, Interval, Stream, StreamGroup};

const fn of_key(name: &'static str, arity: i32, run: Run) -> Command {
    Command { name, arity, flags: &[Flag::ReadOnly], keys: (2, 2, 1), run }
}

pub(in crate::server::commands) const COMMANDS: &[Command] = &[
    of_key("xinfo|stream", -3, xinfo_stream),
    of_key("xinfo|groups", 3, xinfo_groups),
    of_key("xinfo|consumers", 4, xinfo_consumers),
    Command { name: "xinfo|help", arity: 2, flags: &[], keys: (0, 0, 0), run: xinfo_help },
];

/// How many of each `FULL` shows, if it is not told.
const SHOWN: usize = 10;
const ALL: Interval = Interval { from: Id::ZERO, to: Id::MAX };

/// Of what is in nodes, how many pages a tree of them has; nobody counts on it.
fn tree_nodes(stream: &Stream) -> usize {
    stream.nodes() + 1
}

fn xinfo_stream(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let full = match cx.request.len() {
        3 => None,
        4 if is(cx, 3, "full") => Some(SHOWN),
        6 if is(cx, 3, "full") && is(cx, 4, "count") => Some(full_count(cx)?),
        _ => return Err(unknown(cx)),
    };
    let found = cx.world.keys.stream(cx.state.db, cx.request.get(2).unwrap_or_default())?;
    let (stream, out) = (found.ok_or(Failure::NO_SUCH_KEY)?, &mut *cx.out);
    out.map(if full.is_some() { 9 } else { 10 });
    out.bulk(b"length");
    put_len(out, stream.len());
    out.bulk(b"radix-tree-keys");
    put_len(out, stream.nodes());
    out.bulk(b"radix-tree-nodes");
    put_len(out, tree_nodes(stream));
    let first = stream.first().map_or(Id::ZERO, |entry| entry.id);
    put_id(out, "last-generated-id", stream.last);
    put_id(out, "max-deleted-entry-id", stream.max_deleted);
    out.bulk(b"entries-added");
    put_number(out, stream.added);
    put_id(out, "recorded-first-entry-id", first);
    match full {
        None => ends(out, stream),
        Some(most) => everything(out, stream, most),
    }
    Ok(())
}

/// None is no limit, and less than none is the default.
fn full_count(cx: &Context<'_, '_>) -> Result<usize, Failure> {
    match (cx.integer(5)?, count(cx, 5)?) {
        (..0, _) => Ok(SHOWN),
        (0, _) => Ok(usize::MAX),
        (_, count) => Ok(count),
    }
}

fn unknown(cx: &Context<'_, '_>) -> Failure {
    let subcommand = String::from_utf8_lossy(cx.arg(1)).into_owned();
    Failure::say(format!(
        "unknown subcommand or wrong number of arguments for '{subcommand}'. Try XINFO HELP."
    ))
}

fn put_id(out: &mut Replies<'_>, name: &str, id: Id) {
    out.bulk(name.as_bytes());
    out.bulk_of(id);
}

fn put_known(out: &mut Replies<'_>, number: Option<i64>) {
    match number {
        Some(number) => out.integer(number),
        None => out.null(),
    }
}

fn ends(out: &mut Replies<'_>, stream: &Stream) {
    let put = |out: &mut Replies<'_>, entry: Option<Entry<'_>>| match entry {
        Some(entry) => put_entry(out, entry),
        None => out.null(),
    };
    out.bulk(b"groups");
    put_len(out, stream.groups.len());
    out.bulk(b"first-entry");
    put(out, stream.first());
    out.bulk(b"last-entry");
    put(out, stream.newest());
}

fn everything(out: &mut Replies<'_>, stream: &Stream, most: usize) {
    out.bulk(b"entries");
    put_entries(out, stream.range(ALL).take(most));
    out.bulk(b"groups");
    out.array(stream.groups.len());
    for (name, group) in &stream.groups {
        out.map(8);
        out.bulk(b"name");
        out.bulk(name);
        put_id(out, "last-delivered-id", group.last);
        out.bulk(b"entries-read");
        put_known(out, group.read.map(u64::cast_signed));
        out.bulk(b"lag");
        put_known(out, stream.lag(group));
        out.bulk(b"pel-count");
        put_len(out, group.pending());
        out.bulk(b"nacked-count");
        put_len(out, group.released());
        out.bulk(b"pending");
        let pending: Vec<_> = group.pending_in(ALL, None).take(most).collect();
        out.array(pending.len());
        for (id, pending) in pending {
            out.array(4);
            out.bulk_of(id);
            out.bulk(pending.consumer().map_or(&b""[..], |consumer| consumer));
            put_number(out, pending.delivered());
            put_number(out, pending.count());
        }
        out.bulk(b"consumers");
        out.array(group.consumers().len());
        group.consumers().for_each(|consumer| whole_consumer(out, (group, consumer), most));
    }
}

fn whole_consumer(out: &mut Replies<'_>, (group, consumer): (&StreamGroup, &Consumer), most: usize) {
    out.map(4);
    out.bulk(b"name");
    out.bulk(consumer.name());
    out.bulk(b"seen-time");
    put_number(out, consumer.seen);
    out.bulk(b"pel-count");
    put_len(out, consumer.pending());
    out.bulk(b"pending");
    let pending: Vec<_> = group.pending_in(ALL, Some(consumer)).take(most).collect();
    out.array(pending.len());
    for (id, pending) in pending {
        out.array(3);
        out.bulk_of(id);
        put_number(out, pending.delivered());
        put_number(out, pending.count());
    }
}

fn xinfo_groups(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let found = cx.world.keys.stream(cx.state.db, cx.request.get(2).unwrap_or_default())?;
    let (stream, out) = (found.ok_or(Failure::NO_SUCH_KEY)?, &mut *cx.out);
    out.array(stream.groups.len());
    for (name, group) in &stream.groups {
        out.map(6);
        out.bulk(b"name");
        out.bulk(name);
        out.bulk(b"consumers");
        put_len(out, group.consumers().len());
        out.bulk(b"pending");
        put_len(out, group.pending());
        put_id(out, "last-delivered-id", group.last);
        out.bulk(b"entries-read");
        put_known(out, group.read.map(u64::cast_signed));
        out.bulk(b"lag");
        put_known(out, stream.lag(group));
    }
    Ok(())
}

fn xinfo_consumers(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    stream(cx, 2)?.ok_or(Failure::NO_SUCH_KEY)?;
    let now = cx.millis;
    let consumers = group(cx, 2, 3, no_group_of_key)?.1.consumers();
    let consumers: Vec<_> = consumers.map(|one| (one.name().clone(), one.pending(), one.seen)).collect();
    cx.out.array(consumers.len());
    for (name, pending, seen) in consumers {
        cx.out.map(3);
        cx.out.bulk(b"name");
        cx.out.bulk(&name);
        cx.out.bulk(b"pending");
        put_len(cx.out, pending);
        cx.out.bulk(b"idle");
        put_number(cx.out, now.saturating_sub(seen));
    }
    Ok(())
}

fn xinfo_help(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    help(
        cx,
        &[
            "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "CONSUMERS <key> <groupname>",
            "    Show consumers of <groupname>.",
            "GROUPS <key>",
            "    Show the stream consumer groups.",
            "STREAM <key> [FULL [COUNT <count>]",
            "    Show information about the stream.",
        ],
    );
    Ok(())
}
