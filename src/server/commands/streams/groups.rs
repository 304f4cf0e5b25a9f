//! Groups and their consumers: making them, moving them, taking them away; and acknowledging.

use super::{change, group, id, ids, is, name_fits, no_group_of_key, number, put_len, stream};
use crate::server::command::{Command, Context, Failure, Flag, Run};
use crate::server::commands::table::help;
use crate::server::keys::Value;
use crate::server::notify::Class;
use crate::server::stream::{Id, Stream};

const MAKES: &[Flag] = &[Flag::Write, Flag::DenyOom];

/// A subcommand about a group, whose key is behind its name.
pub(super) const fn of_key(name: &'static str, arity: i32, flags: &'static [Flag], run: Run) -> Command {
    Command { name, arity, flags, keys: (2, 2, 1), run }
}

pub(in crate::server::commands) const COMMANDS: &[Command] = &[
    of_key("xgroup|create", -5, MAKES, create),
    of_key("xgroup|setid", -5, &[Flag::Write], set_id),
    of_key("xgroup|destroy", 4, &[Flag::Write], destroy),
    of_key("xgroup|createconsumer", 5, MAKES, create_consumer),
    of_key("xgroup|delconsumer", 5, &[Flag::Write], delete_consumer),
    Command { name: "xgroup|help", arity: 2, flags: &[], keys: (0, 0, 0), run: xgroup_help },
    Command {
        name: "xack",
        arity: -4,
        flags: &[Flag::Write, Flag::Fast, Flag::WakesNobody],
        keys: (1, 1, 1),
        run: xack,
    },
];

const NO_KEY: Failure = Failure::err(
    "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

/// Where a group is set to, and how much it is said to have read.
struct Place {
    makes_stream: bool,
    read: Option<u64>,
}

impl Place {
    fn parse(cx: &Context<'_, '_>, creates: bool) -> Result<Place, Failure> {
        let (mut place, mut at) = (Place { makes_stream: false, read: None }, 5);
        while at < cx.request.len() {
            if creates && is(cx, at, "mkstream") {
                place.makes_stream = true;
                at += 1;
            } else if is(cx, at, "entriesread") && at + 1 < cx.request.len() {
                let read = number(cx, at + 1, "value is not an integer or out of range")?;
                if read < -1 {
                    return Err(Failure::err("value for ENTRIESREAD must be positive or -1"));
                }
                place.read = u64::try_from(read).ok();
                at += 2;
            } else {
                return Err(Failure::say(format!(
                    "unknown subcommand or wrong number of arguments for '{}'. Try XGROUP HELP.",
                    String::from_utf8_lossy(cx.arg(1))
                )));
            }
        }
        Ok(place)
    }
}

/// The id of an argument: of a `$` the last one of the stream.
fn place_of(cx: &Context<'_, '_>, creates: bool) -> Result<Id, Failure> {
    match cx.arg(4) {
        b"$" => Ok(stream(cx, 2)?.map_or(Id::ZERO, |stream| stream.last)),
        _ if creates => id(cx, 4),
        text => Id::parse_bound(text, 0).ok_or(Failure::INVALID_ID),
    }
}

fn notify(cx: &mut Context<'_, '_>, event: &str) {
    cx.world.notify(Class::Stream, event, cx.state.db, cx.request.get(2).unwrap_or_default());
}

fn create(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let place = Place::parse(cx, true)?;
    let there = stream(cx, 2)?.is_some();
    if !there && !place.makes_stream {
        return Err(NO_KEY);
    }
    let last = place_of(cx, true)?;
    name_fits(cx, 3)?;
    let (db, key, name) =
        (cx.state.db, cx.request.get(2).unwrap_or_default(), cx.request.get(3).unwrap_or_default());
    if !there {
        cx.world.keys.set(db, key, Value::Stream(Box::default()), None);
    }
    if !change(cx, 2, |stream| stream.create_group(name, last, place.read))? {
        return Err(Failure::new("BUSYGROUP", "Consumer Group name already exists"));
    }
    notify(cx, "xgroup-create");
    cx.out.ok();
    Ok(())
}

fn set_id(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let place = Place::parse(cx, false)?;
    there(cx)?;
    group(cx, 2, 3, no_group_of_key)?;
    let (last, name) = (place_of(cx, false)?, cx.request.get(3).unwrap_or_default());
    change(cx, 2, |stream| stream.set_group(name, last, place.read))?;
    notify(cx, "xgroup-setid");
    cx.out.ok();
    Ok(())
}

fn there<'a>(cx: &'a Context<'_, '_>) -> Result<&'a Stream, Failure> {
    stream(cx, 2)?.ok_or(NO_KEY)
}

fn destroy(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    there(cx)?;
    let name = cx.request.get(3).unwrap_or_default();
    let gone = change(cx, 2, |stream| stream.destroy_group(name))?;
    if gone {
        notify(cx, "xgroup-destroy");
    }
    cx.out.integer(gone.into());
    Ok(())
}

fn create_consumer(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    there(cx)?;
    group(cx, 2, 3, no_group_of_key)?;
    name_fits(cx, 4)?;
    let [name, consumer] = [3, 4].map(|at| cx.request.get(at).unwrap_or_default());
    let now = cx.millis;
    let made = change(cx, 2, |stream| stream.create_consumer(name, consumer, now))?;
    if made {
        notify(cx, "xgroup-createconsumer");
    }
    cx.out.integer(made.into());
    Ok(())
}

fn delete_consumer(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    there(cx)?;
    let is_there = group(cx, 2, 3, no_group_of_key)?.1.consumer(cx.arg(4)).is_some();
    let [name, consumer] = [3, 4].map(|at| cx.request.get(at).unwrap_or_default());
    let pending = change(cx, 2, |stream| stream.delete_consumer(name, consumer))?;
    if is_there {
        notify(cx, "xgroup-delconsumer");
    }
    put_len(cx.out, pending);
    Ok(())
}

fn xack(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let there = stream(cx, 1)?.is_some_and(|stream| stream.groups.contains_key(cx.arg(2)));
    if !there {
        cx.out.integer(0);
        return Ok(());
    }
    let (ids, name) = (ids(cx, 3)?, cx.request.get(2).unwrap_or_default());
    let acked = change(cx, 1, |stream| stream.ack(name, &ids))?;
    put_len(cx.out, acked);
    Ok(())
}

fn xgroup_help(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    help(
        cx,
        &[
            "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "CREATE <key> <groupname> <id|$> [option]",
            "    Create a new consumer group. Options are:",
            "    * MKSTREAM",
            "      Create the empty stream if it does not exist.",
            "    * ENTRIESREAD entries_read",
            "      Set the group's entries_read counter (internal use).",
            "CREATECONSUMER <key> <groupname> <consumer>",
            "    Create a new consumer in the specified group.",
            "DELCONSUMER <key> <groupname> <consumer>",
            "    Remove the specified consumer.",
            "DESTROY <key> <groupname>",
            "    Remove the specified group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
            "    Set the current group ID and entries_read counter.",
        ],
    );
    Ok(())
}
