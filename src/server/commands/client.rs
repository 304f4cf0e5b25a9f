//! `CLIENT`: what a connection tells of itself, and of others.

use std::collections::BTreeSet;

use super::connection::check_name;
use crate::server::client::{Client, Doom};
use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::resp::Verbatim;
use crate::server::state::ReplyMode;

const fn command(name: &'static str, arity: i32, run: crate::server::command::Run) -> Command {
    Command { name, arity, flags: &[Flag::Fast], keys: (0, 0, 0), run }
}

pub(super) const COMMANDS: &[Command] = &[
    command("client|getname", 2, getname),
    command("client|setname", 3, setname),
    command("client|setinfo", 4, setinfo),
    command("client|id", 2, id),
    command("client|info", 2, info),
    command("client|list", -2, list),
    command("client|kill", -3, kill),
    command("client|reply", 3, reply),
    command("client|no-evict", 3, on_or_off),
    command("client|no-touch", 3, on_or_off),
    command("client|unblock", -3, unblock),
    command("client|help", 2, help),
];

fn getname(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let name = cx.client.shown().name.clone();
    match name.is_empty() {
        true => cx.out.null(),
        false => cx.out.bulk(&name),
    }
    Ok(())
}

fn setname(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let name = cx.arg(2).to_vec();
    check_name(&name)?;
    cx.client.shown().name = name;
    cx.out.ok();
    Ok(())
}

fn setinfo(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let (field, value) = (cx.word(2), cx.arg(3).to_vec());
    if check_name(&value).is_err() {
        return Err(Failure::say(format!("{field} cannot contain spaces, newlines or special characters.")));
    }
    let mut shown = cx.client.shown();
    match field.as_str() {
        "lib-name" => shown.lib_name = value,
        "lib-ver" => shown.lib_version = value,
        _ => return Err(Failure::say(format!("Unrecognized option '{field}'"))),
    }
    drop(shown);
    cx.out.ok();
    Ok(())
}

fn id(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.out.integer(i64::try_from(cx.client.id).unwrap_or(i64::MAX));
    Ok(())
}

fn info(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let text = format!("{}\n", cx.client.line(cx.now));
    cx.out.verbatim(Verbatim::Text, text.as_bytes());
    Ok(())
}

fn list(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let mut wanted: Option<BTreeSet<i64>> = None;
    let mut kind = None;
    match (cx.request.len(), cx.word(2).as_str()) {
        (2, _) => {}
        (4, "type") => kind = Some(Kind::parse(cx, 3)?),
        (4.., "id") => {
            let ids =
                (3..cx.request.len()).map(|at| cx.integer(at).map_err(|_| Failure::err("Invalid client ID")));
            wanted = Some(ids.collect::<Result<_, _>>()?);
        }
        _ => return Err(Failure::SYNTAX),
    }
    let mut text = String::new();
    for client in cx.world.clients.values() {
        let id = i64::try_from(client.id).unwrap_or(i64::MAX);
        let of_kind = kind.is_none_or(|kind| Kind::of(client) == kind);
        if of_kind && wanted.as_ref().is_none_or(|wanted| wanted.contains(&id)) {
            text += &format!("{}\n", client.line(cx.now));
        }
    }
    cx.out.verbatim(Verbatim::Text, text.as_bytes());
    Ok(())
}

/// What a client is connected for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Listener,
    /// There is no replication.
    Nobody,
}

impl Kind {
    fn parse(cx: &Context<'_, '_>, at: usize) -> Result<Kind, Failure> {
        match cx.word(at).as_str() {
            "normal" => Ok(Kind::Normal),
            "pubsub" => Ok(Kind::Listener),
            "master" | "replica" | "slave" => Ok(Kind::Nobody),
            _ => {
                let kind = String::from_utf8_lossy(cx.arg(at)).into_owned();
                Err(Failure::say(format!("Unknown client type '{kind}'")))
            }
        }
    }

    fn of(client: &Client) -> Kind {
        let shown = client.shown();
        if shown.listens() > 0 { Kind::Listener } else { Kind::Normal }
    }
}

/// `CLIENT KILL addr`, or with filters that must all fit.
fn kill(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let peer = |client: &Client| client.peer.map(|peer| peer.to_string().into_bytes());
    if cx.request.len() == 3 {
        let found = cx.world.clients.values().find(|client| peer(client).as_deref() == Some(cx.arg(2)));
        let found = found.ok_or(Failure::err("No such client"))?;
        cx.state.quits |= end(found, cx.client);
        cx.out.ok();
        return Ok(());
    }
    if !cx.request.len().is_multiple_of(2) {
        return Err(Failure::SYNTAX);
    }
    let (mut id, mut addr, mut own, mut kind, mut skip_me) = (None, None, None, None, true);
    for at in (2..cx.request.len()).step_by(2) {
        match cx.word(at).as_str() {
            "id" => {
                let number = cx.integer(at + 1).ok().filter(|id| *id > 0);
                id = Some(number.ok_or(Failure::err("client-id should be greater than 0"))?);
            }
            "addr" => addr = Some(cx.arg(at + 1).to_vec()),
            "laddr" => own = Some(cx.arg(at + 1).to_vec()),
            "user" if cx.arg(at + 1) == b"default" => {}
            "user" => {
                let user = String::from_utf8_lossy(cx.arg(at + 1)).into_owned();
                return Err(Failure::say(format!("No such user '{user}'")));
            }
            "type" => kind = Some(Kind::parse(cx, at + 1)?),
            "skipme" => match cx.word(at + 1).as_str() {
                "yes" => skip_me = true,
                "no" => skip_me = false,
                _ => return Err(Failure::SYNTAX),
            },
            _ => return Err(Failure::SYNTAX),
        }
    }
    let mut killed = 0;
    for client in cx.world.clients.values() {
        let fits = kind.is_none_or(|kind| Kind::of(client) == kind)
            && id.is_none_or(|id| u64::try_from(id) == Ok(client.id))
            && addr.as_ref().is_none_or(|addr| peer(client).as_ref() == Some(addr))
            && own
                .as_ref()
                .is_none_or(|own| client.own.map(|o| o.to_string().into_bytes()).as_ref() == Some(own));
        if fits && !(skip_me && client.id == cx.client.id) {
            cx.state.quits |= end(client, cx.client);
            killed += 1;
        }
    }
    cx.out.integer(killed);
    Ok(())
}

/// Ends a connection. Whether it is the own one: that ends by itself, once it has its answer.
fn end(client: &Client, own: &Client) -> bool {
    let is_own = client.id == own.id;
    if !is_own {
        client.doom(Doom::Killed);
    }
    is_own
}

fn reply(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.state.replies = match cx.word(2).as_str() {
        "on" => ReplyMode::On,
        "off" => ReplyMode::Off,
        "skip" if cx.state.replies == ReplyMode::Off => ReplyMode::Off,
        "skip" => ReplyMode::Skip,
        _ => return Err(Failure::SYNTAX),
    };
    cx.out.ok();
    Ok(())
}

/// What changes nothing here: no client's memory is evicted, and no key's age by use is kept.
fn on_or_off(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    match cx.word(2).as_str() {
        "on" | "off" => {
            cx.out.ok();
            Ok(())
        }
        _ => Err(Failure::SYNTAX),
    }
}

fn unblock(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let error = match (cx.request.len(), cx.word(3).as_str()) {
        (3, _) | (4, "timeout") => false,
        (4, "error") => true,
        (4, _) => return Err(Failure::err("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(Failure::arity("client|unblock")),
    };
    let id = u64::try_from(cx.integer(2)?).ok();
    let waiter = id.and_then(|id| cx.world.waiting.remove(cx.world.waiting.of(id)?));
    if let Some(waiter) = &waiter {
        waiter.give_up(error);
    }
    cx.out.integer(waiter.is_some().into());
    Ok(())
}

fn help(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    super::table::help(
        cx,
        &[
            "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "GETNAME, SETNAME <name>, SETINFO <LIB-NAME|LIB-VER> <value>",
            "    What the connection tells of itself.",
            "ID, INFO, LIST [ID <id> ...]",
            "    Which connections there are.",
            "KILL <ip:port>, KILL [ID <id>] [ADDR <ip:port>] [LADDR <ip:port>] [SKIPME <YES|NO>]",
            "    Ends connections.",
            "REPLY <ON|OFF|SKIP>",
            "    Whether replies are sent.",
            "UNBLOCK <clientid> [TIMEOUT|ERROR]",
            "    Ends a command that waits, as if its time were over or with an error.",
        ],
    );
    Ok(())
}
