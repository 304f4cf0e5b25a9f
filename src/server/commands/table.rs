//! The table of all commands, and how one is found in it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

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
    streams::NACK,
    streams::POLICY,
    streams::REFS,
    streams::SHOWN,
];

/// Each command in turn.
pub(crate) fn all() -> impl Iterator<Item = &'static Command> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// By their names; of a container, those of its subcommands. Made once: each request looks here.
struct Index {
    commands: BTreeMap<&'static [u8], &'static Command>,
    /// What comes behind a container's name.
    subcommands: BTreeMap<&'static [u8], BTreeMap<&'static [u8], &'static Command>>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index { commands: BTreeMap::new(), subcommands: BTreeMap::new() };
    for command in all() {
        match command.name.split_once('|') {
            None => drop(index.commands.insert(command.name.as_bytes(), command)),
            Some((container, own)) => {
                let own_ones = index.subcommands.entry(container.as_bytes()).or_default();
                own_ones.insert(own.as_bytes(), command);
            }
        }
    }
    index
});

/// Longer than any name.
const LONGEST: usize = 32;

/// A name in small letters. `None`: it is too long to be one.
fn small<'a>(name: &[u8], into: &'a mut [u8; LONGEST]) -> Option<&'a [u8]> {
    let into = into.get_mut(..name.len())?;
    into.copy_from_slice(name);
    into.make_ascii_lowercase();
    Some(into)
}

/// The command of that name; of a container the subcommand, if there is such a one.
pub(crate) fn find(name: &[u8], subcommand: Option<&[u8]>) -> Option<&'static Command> {
    let (mut one, mut other) = ([0; LONGEST], [0; LONGEST]);
    let name = small(name, &mut one)?;
    match (INDEX.subcommands.get(name), subcommand) {
        (Some(own), Some(subcommand)) => own.get(small(subcommand, &mut other)?).copied(),
        // A container may be a command too: `COMMAND` is.
        (_, _) => INDEX.commands.get(name).copied(),
    }
}

/// Whether a command has subcommands.
pub(crate) fn is_container(name: &[u8]) -> bool {
    small(name, &mut [0; LONGEST]).is_some_and(|name| INDEX.subcommands.contains_key(name))
}

/// Writes lines for a person, as every `HELP` does.
pub(super) fn help(cx: &mut Context<'_, '_>, lines: &[&str]) {
    let more = ["HELP", "    Print this help."];
    cx.out.array(lines.len() + more.len());
    lines.iter().chain(&more).for_each(|line| cx.out.status(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name_and_fits() {
        for command in all() {
            let upper = command.name.to_ascii_uppercase();
            let found = match upper.split_once('|') {
                None => find(upper.as_bytes(), None),
                Some((container, own)) => find(container.as_bytes(), Some(own.as_bytes())),
            };
            assert!(found.is_some_and(|found| std::ptr::eq(found, command)), "{}", command.name);
            assert!(command.name.split('|').all(|name| name.len() <= LONGEST));
        }
        assert!(find(&[b'x'; 40], None).is_none() && find(b"client", Some(b"nosuch")).is_none());
        assert!(is_container(b"XInfo") && !is_container(b"xadd"));
    }
}
