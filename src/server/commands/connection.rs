//! Who a client is, and what it speaks.

use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::keys::DATABASES;
use crate::server::resp::{Protocol, parse_i64};
use crate::server::state::{ReplyMode, State};

const ALWAYS: &[Flag] = &[Flag::Fast, Flag::NoAuth, Flag::WhileListening, Flag::InTransaction];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ping",
        arity: -1,
        flags: &[Flag::Fast, Flag::WhileListening],
        keys: (0, 0, 0),
        run: ping,
    },
    Command { name: "echo", arity: 2, flags: &[Flag::Fast], keys: (0, 0, 0), run: echo },
    Command { name: "auth", arity: -2, flags: &[Flag::Fast, Flag::NoAuth], keys: (0, 0, 0), run: auth },
    Command { name: "hello", arity: -1, flags: &[Flag::Fast, Flag::NoAuth], keys: (0, 0, 0), run: hello },
    Command { name: "select", arity: 2, flags: &[Flag::Fast], keys: (0, 0, 0), run: select },
    Command { name: "quit", arity: -1, flags: ALWAYS, keys: (0, 0, 0), run: quit },
    Command { name: "reset", arity: 1, flags: ALWAYS, keys: (0, 0, 0), run: reset },
];

fn ping(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    if cx.request.len() > 2 {
        return Err(Failure::arity("ping"));
    }
    let text = cx.request.get(1);
    // To a client that listens everything is a message.
    if cx.state.is_listening() {
        cx.out.array(2);
        cx.out.bulk(b"pong");
        cx.out.bulk(text.unwrap_or_default());
        return Ok(());
    }
    match text {
        Some(text) => cx.out.bulk(text),
        None => cx.out.status("PONG"),
    }
    Ok(())
}

fn echo(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let text = cx.request.get(1).unwrap_or_default();
    cx.out.bulk(text);
    Ok(())
}

const WRONG_PASSWORD: Failure =
    Failure::new("WRONGPASS", "invalid username-password pair or user is disabled.");

/// Compares in a time that does not depend on where the two differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// Lets a client in that names a user, of whom there is one, and the password.
fn log_in(cx: &mut Context<'_, '_>, user: Option<usize>, password: usize) -> Result<(), Failure> {
    let user = user.map_or(&b"default"[..], |user| cx.arg(user));
    let right = match &cx.world.config.password {
        Some(wanted) => is_same(wanted, cx.arg(password)),
        // With a name any password is right where none is asked for.
        None => true,
    };
    if user != b"default" || !right {
        return Err(WRONG_PASSWORD);
    }
    cx.state.authenticated = true;
    Ok(())
}

fn auth(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    match cx.request.len() {
        2 if cx.world.config.password.is_none() => {
            return Err(Failure::err(
                "AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
            ));
        }
        2 => log_in(cx, None, 1)?,
        3 => log_in(cx, Some(1), 2)?,
        _ => return Err(Failure::SYNTAX),
    }
    cx.out.ok();
    Ok(())
}

fn hello(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let mut protocol = cx.state.protocol;
    if let Some(version) = cx.request.get(1) {
        protocol = match parse_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(Failure::new("NOPROTO", "unsupported protocol version")),
            None => return Err(Failure::err("Protocol version is not an integer or out of range")),
        };
    }
    let (mut at, mut name) = (2, None);
    while at < cx.request.len() {
        match cx.word(at).as_str() {
            "auth" if at + 2 < cx.request.len() => {
                log_in(cx, Some(at + 1), at + 2)?;
                at += 3;
            }
            "setname" if at + 1 < cx.request.len() => {
                let wanted = cx.arg(at + 1).to_vec();
                check_name(&wanted)?;
                name = Some(wanted);
                at += 2;
            }
            _ => {
                let option = String::from_utf8_lossy(cx.arg(at)).into_owned();
                return Err(Failure::say(format!("Syntax error in HELLO option '{option}'")));
            }
        }
    }
    if !cx.state.authenticated {
        return Err(Failure::new(
            "NOAUTH",
            "HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        cx.client.shown().name = name;
    }
    cx.state.protocol = protocol;
    let id = i64::try_from(cx.client.id).unwrap_or(i64::MAX);
    let mut out = cx.out.speaking(protocol);
    out.map(7);
    for (field, value) in [("server", "redis"), ("version", crate::server::REDIS_VERSION)] {
        out.bulk(field.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"proto");
    out.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    out.bulk(b"id");
    out.integer(id);
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        out.bulk(field.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"modules");
    out.array(0);
    Ok(())
}

/// A name is shown in lists, whose fields blanks part.
pub(super) fn check_name(name: &[u8]) -> Result<(), Failure> {
    match name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        true => Ok(()),
        false => Err(Failure::err("Client names cannot contain spaces, newlines or special characters.")),
    }
}

fn select(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let db = cx.integer(1)?;
    if i32::try_from(db).is_err() {
        return Err(Failure::err("value is out of range, value must between -2147483648 and 2147483647"));
    }
    cx.state.db = usize::try_from(db)
        .ok()
        .filter(|db| *db < DATABASES)
        .ok_or(Failure::err("DB index is out of range"))?;
    cx.out.ok();
    Ok(())
}

fn quit(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.state.quits = true;
    cx.out.ok();
    Ok(())
}

/// Begins anew, as a client that has just connected.
fn reset(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.world.pubsub.leave_all(cx.client, &mut cx.state.interests);
    cx.world.watched.leave(&mut cx.state.watch);
    let authenticated = cx.world.config.password.is_none();
    *cx.state = State { authenticated, replies: ReplyMode::On, ..State::default() };
    cx.client.shown().name = Vec::new();
    cx.out.speaking(Protocol::Resp2).status("RESET");
    Ok(())
}
