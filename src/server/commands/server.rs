//! The server itself: what it is, how it is set, and which commands it has.

use std::collections::BTreeSet;

use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::commands;
use crate::server::config::ConfigError;
use crate::server::info;
use crate::server::keep::Now;
use crate::server::resp::{Aggregate, Verbatim};

const fn command(name: &'static str, arity: i32, run: crate::server::command::Run) -> Command {
    Command { name, arity, flags: &[Flag::Fast], keys: (0, 0, 0), run }
}

const fn admin(name: &'static str, arity: i32, run: crate::server::command::Run) -> Command {
    Command { name, arity, flags: &[Flag::Admin], keys: (0, 0, 0), run }
}

/// Why not in a transaction: memory would be what is on the disk in the middle of what is to be there as a whole.
const fn re_reads(name: &'static str) -> Command {
    let flags = &[Flag::Admin, Flag::NoTransaction];
    Command { name, arity: 2, flags, keys: (0, 0, 0), run: reload }
}

pub(super) const COMMANDS: &[Command] = &[
    command("info", -1, info),
    command("time", 1, time),
    admin("config|get", -3, config_get),
    admin("config|set", -4, config_set),
    admin("config|resetstat", 2, resetstat),
    admin("config|help", 2, config_help),
    command("command", -1, command_all),
    command("command|count", 2, command_count),
    command("command|info", -2, command_info),
    command("command|docs", -2, command_docs),
    command("command|list", -2, command_list),
    admin("debug", -2, debug),
    admin("debug|log", 3, debug_log),
    admin("debug|sleep", 3, debug_sleep),
    re_reads("debug|loadaof"),
    re_reads("debug|reload"),
    admin("bgrewriteaof", 1, rewrite),
    admin("function|flush", -2, nothing_to_flush),
    admin("latency|reset", -2, nothing_to_reset),
    command("acl|whoami", 2, whoami),
];

fn info(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let sections: Vec<String> = (1..cx.request.len()).map(|at| cx.word(at)).collect();
    let text = info::text(cx.world, cx.now, &sections);
    cx.out.verbatim(Verbatim::Text, text.as_bytes());
    Ok(())
}

fn time(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.out.array(2);
    cx.out.bulk_of(cx.millis / 1000);
    cx.out.bulk_of(cx.millis % 1000 * 1000);
    Ok(())
}

fn config_get(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let patterns: Vec<&[u8]> = cx.request.args().skip(2).collect();
    let found = cx.world.config.get(&cx.world.remembered, &patterns);
    cx.out.map(found.len());
    for (name, value) in found {
        cx.out.bulk(name.as_bytes());
        cx.out.bulk(value.as_bytes());
    }
    Ok(())
}

/// All of them or, if one can't be, none.
fn config_set(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    if !cx.request.len().is_multiple_of(2) {
        return Err(Failure::arity("config|set"));
    }
    let (mut config, mut remembered) = (cx.world.config.clone(), cx.world.remembered.clone());
    let mut named = BTreeSet::new();
    for at in (2..cx.request.len()).step_by(2) {
        if !named.insert(cx.word(at)) {
            let name = String::from_utf8_lossy(cx.arg(at)).into_owned();
            return Err(Failure::say(format!(
                "CONFIG SET failed (possibly related to argument '{name}') - duplicate parameter"
            )));
        }
        config.set(&mut remembered, cx.arg(at), cx.arg(at + 1)).map_err(|error| match error {
            ConfigError::Unknown(name) => {
                Failure::say(format!("Unknown option or number of arguments for CONFIG SET - '{name}'"))
            }
            ConfigError::Invalid(name, why) => {
                Failure::say(format!("CONFIG SET failed (possibly related to argument '{name}') - {why}"))
            }
            ConfigError::Immutable(name) => Failure::say(format!(
                "CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config"
            )),
        })?;
    }
    (cx.world.config, cx.world.remembered) = (config, remembered);
    if let Some(keeper) = &mut cx.world.keeper {
        keeper.set_fsync(cx.world.config.fsync);
    }
    let most = cx.world.config.most_pushed;
    cx.world.clients.values().for_each(|client| client.set_most(most));
    cx.world.tidy(cx.now);
    cx.out.ok();
    Ok(())
}

fn resetstat(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.world.stats.reset();
    cx.out.ok();
    Ok(())
}

fn config_help(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    super::table::help(
        cx,
        &[
            "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "GET <pattern> [<pattern> ...]",
            "    The settings that the patterns stand for.",
            "SET <name> <value> [<name> <value> ...]",
            "    Changes settings, all of them or none.",
            "RESETSTAT",
            "    Counts from zero again.",
        ],
    );
    Ok(())
}

fn command_all(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.out.counted(Aggregate::Array, |out| {
        commands::all()
            .filter(|command| command.container().is_none())
            .map(|command| describe(out, command))
            .count()
    });
    Ok(())
}

fn describe(out: &mut crate::server::resp::Replies<'_>, command: &Command) {
    let (first, last, step) = command.keys;
    out.array(6);
    out.bulk(command.name.as_bytes());
    out.integer(command.arity.into());
    let flags: Vec<&str> = command.flags.iter().filter_map(|flag| flag.name()).collect();
    out.begin(Aggregate::Set, flags.len());
    flags.iter().for_each(|flag| out.status(flag));
    [first, last, step].iter().for_each(|number| out.integer((*number).into()));
}

fn command_count(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let many = commands::all().filter(|command| command.container().is_none()).count();
    cx.out.integer(i64::try_from(many).unwrap_or(i64::MAX));
    Ok(())
}

fn command_info(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    if cx.request.len() == 2 {
        return command_all(cx);
    }
    cx.out.array(cx.request.len() - 2);
    for name in cx.request.args().skip(2) {
        let (container, own) = match name.iter().position(|byte| *byte == b'|') {
            Some(bar) => (name.get(..bar).unwrap_or_default(), name.get(bar + 1..)),
            None => (name, None),
        };
        match commands::find(container, own) {
            Some(command) => describe(cx.out, command),
            None => cx.out.null(),
        }
    }
    Ok(())
}

/// Redis's documents of its commands are Redis's. Here each has but its name.
fn command_docs(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.out.map(0);
    Ok(())
}

fn command_list(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.out.counted(Aggregate::Array, |out| {
        let names = commands::all().filter(|command| command.container().is_none());
        names.map(|command| out.bulk(command.name.as_bytes())).count()
    });
    Ok(())
}

/// Its subcommands are asked for by their names.
fn debug(_: &mut Context<'_, '_>) -> Result<(), Failure> {
    Err(Failure::arity("debug"))
}

/// Leaves a mark, for suites.
fn debug_log(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(cx.arg(2)).into_owned();
    tracing::info!(target: "callboard::server", %text, "a client says");
    cx.out.ok();
    Ok(())
}

fn debug_sleep(_: &mut Context<'_, '_>) -> Result<(), Failure> {
    Err(Failure::err("DEBUG SLEEP is not there: it would hold up every other client"))
}

/// Forgets all streams and reads them again from the disk. Everybody waits until that is done: it is for tests.
fn reload(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let (now, world) = (Now { moment: cx.now, millis: cx.millis }, &mut *cx.world);
    let keeper = world.keeper.as_mut().ok_or(NOT_KEPT)?;
    keeper.write(&mut world.keys, now);
    let reloaded = keeper.reload(&mut world.keys, world.config.nodes, now);
    reloaded.map_err(|error| Failure::say(format!("can't read what is on the disk: {error}")))?;
    world.watched.mark_all();
    cx.out.ok();
    Ok(())
}

/// Writes all streams whole, so that what they came from goes. That is done bit by bit without being asked.
fn rewrite(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let (now, world) = (Now { moment: cx.now, millis: cx.millis }, &mut *cx.world);
    if let Some(why) = world.refuses() {
        return Err(Failure::no_disk(why));
    }
    world.keeper.as_mut().ok_or(NOT_KEPT)?.write_whole(&mut world.keys, now);
    cx.out.status("Background append only file rewriting started");
    Ok(())
}

const NOT_KEPT: Failure = Failure::err("this server keeps all in memory");

/// There are no scripts.
fn nothing_to_flush(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.out.ok();
    Ok(())
}

fn nothing_to_reset(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.out.integer(0);
    Ok(())
}

fn whoami(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.out.bulk(b"default");
    Ok(())
}
