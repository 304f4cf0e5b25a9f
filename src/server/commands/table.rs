//! The table of all commands, and how one is found in it.

use super::{client, connection, hashes, keys, lists, pubsub, server, sets, streams, strings, transaction};
use crate::server::command::{Command, Context};

/// All of them.
const TABLES: &[&[Command]] = &[
    connection::COMMANDS,
    client::COMMANDS,
    pubsub::COMMANDS,
    server::COMMANDS,
    keys::COMMANDS,
    strings::COMMANDS,
    lists::COMMANDS,
    sets::COMMANDS,
    hashes::COMMANDS,
    transaction::COMMANDS,
    streams::ENTRIES,
    streams::READS,
    streams::GROUPS,
    streams::PENDING,
    streams::SHOWN,
];

/// Each command in turn.
pub(crate) fn all() -> impl Iterator<Item = &'static Command> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The command of that name; of a container the subcommand, if there is such a one.
pub(crate) fn find(name: &[u8], subcommand: Option<&[u8]>) -> Option<&'static Command> {
    all().find(|command| match command.name.split_once('|') {
        None => command.name.as_bytes().eq_ignore_ascii_case(name) && !has_subcommand(name, subcommand),
        Some((container, own)) => {
            container.as_bytes().eq_ignore_ascii_case(name)
                && subcommand.is_some_and(|subcommand| own.as_bytes().eq_ignore_ascii_case(subcommand))
        }
    })
}

/// A container may be a command too: `COMMAND` is.
fn has_subcommand(name: &[u8], subcommand: Option<&[u8]>) -> bool {
    is_container(name) && subcommand.is_some()
}

/// Whether a command has subcommands.
pub(crate) fn is_container(name: &[u8]) -> bool {
    all().any(|command| {
        command.container().is_some_and(|container| container.as_bytes().eq_ignore_ascii_case(name))
    })
}

/// Writes lines for a person, as every `HELP` does.
pub(super) fn help(cx: &mut Context<'_, '_>, lines: &[&str]) {
    let more = ["HELP", "    Print this help."];
    cx.out.array(lines.len() + more.len());
    lines.iter().chain(&more).for_each(|line| cx.out.status(line));
}
