//! How a request becomes a reply: what is looked at before a command is run, and what is counted after.

use std::sync::Arc;

use super::client::Client;
use super::command::{self, Command, Context, Failure, Flag};
use super::resp::{Replies, Request};
use super::state::{ReplyMode, State, Transaction};
use super::waiting::serve_marked;
use super::world::World;
use crate::runtime::Rt;

/// Runs a request, or queues it, and writes what is to be answered behind `out`.
pub(super) fn execute(
    rt: &Rt,
    world: &mut World,
    (client, state): (&Arc<Client>, &mut State),
    request: Request,
    out: &mut Vec<u8>,
) -> Option<Request> {
    let (now, start) = (rt.now(), out.len());
    world.stats.commands += 1;
    let found = command::find(&request);
    if found.is_none() && is_a_browser(&request) {
        tracing::warn!(target: "callboard::server", client = client.id, "a browser was sent away: somebody may attack by it");
        state.quits = true;
        return Some(request);
    }
    {
        let mut shown = client.shown();
        shown.active = now;
        shown.command = found.map_or("NULL", |command| command.name);
    }
    // The command before asked for that.
    let skips = state.replies == ReplyMode::Skip;
    if skips {
        state.replies = ReplyMode::On;
    }
    let checked = check(found, world, state, &request);
    let mut rest = None;
    match checked {
        Ok(command) if state.transaction.is_some() && !command.is(Flag::InTransaction) => {
            queue(state, command, request, out);
            if skips || state.replies == ReplyMode::Off {
                out.truncate(start);
            }
        }
        Ok(command) => {
            world.tidy(now);
            let millis = rt.wall_millis();
            let mut replies = Replies::new(out, state.protocol);
            let mut cx =
                Context { rt, world, client, state, request: &request, out: &mut replies, now, millis };
            run_one(command, &mut cx, &request);
            if world.waiting.is_marked() {
                serve_marked(world, millis);
            }
            let silent = skips || state.replies == ReplyMode::Off || state.replies == ReplyMode::Skip;
            if silent && !command.is(Flag::Pushes) {
                out.truncate(start);
                if let Some(waits) = &mut state.waits {
                    waits.silent = true;
                }
            }
            rest = Some(request);
        }
        Err(failure) => {
            if let Some(transaction) = &mut state.transaction {
                transaction.broken = true;
            }
            if let Some(command) = found {
                world.stats.command(command.name).rejected += 1;
            }
            let failure = match found {
                Some(command) if command.is(Flag::EndsTransaction) => abort(world, state, failure),
                _ => failure,
            };
            refuse(world, &failure, &mut Replies::new(out, state.protocol));
            if skips || state.replies == ReplyMode::Off {
                out.truncate(start);
            }
            rest = Some(request);
        }
    }
    show(client, state);
    world.write_much(rt);
    rest
}

/// Whether the command may be run now, by this client.
fn check(
    found: Option<&'static Command>,
    world: &World,
    state: &State,
    request: &Request,
) -> Result<&'static Command, Failure> {
    let command = found.ok_or_else(|| Failure::unknown(request))?;
    if !command.takes(request.len()) {
        return Err(Failure::arity(command.name));
    }
    if !state.authenticated && !command.is(Flag::NoAuth) {
        return Err(Failure::NO_AUTH);
    }
    if state.transaction.is_some() && command.is(Flag::NoTransaction) {
        return Err(Failure::err("Command not allowed inside a transaction"));
    }
    let writes = command.is(Flag::Write)
        || command.is(Flag::EndsTransaction)
            && state.transaction.as_ref().is_some_and(|transaction| transaction.writes);
    if writes && let Some(why) = world.refuses() {
        return Err(Failure::no_disk(why));
    }
    let takes_memory = command.is(Flag::DenyOom)
        || command.is(Flag::EndsTransaction)
            && state.transaction.as_ref().is_some_and(|transaction| transaction.takes_memory);
    if takes_memory && world.is_out_of_memory() {
        return Err(Failure::OUT_OF_MEMORY);
    }
    if state.is_listening() && !command.is(Flag::WhileListening) {
        return Err(Failure::say(format!(
            "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            command.name
        )));
    }
    Ok(command)
}

/// What `EXEC` that can't be run leaves of its transaction: nothing.
fn abort(world: &mut World, state: &mut State, why: Failure) -> Failure {
    state.transaction = None;
    world.watched.leave(&mut state.watch);
    let Failure { code, text } = why;
    let code = if code == "ERR" { String::new() } else { format!("{code} ") };
    Failure { code: "EXECABORT", text: format!("Transaction discarded because of: {code}{text}").into() }
}

/// Whether it is the beginning of what a browser sends: a page from anywhere can let it speak to this machine's ports, and
/// have its commands in what it posts.
fn is_a_browser(request: &Request) -> bool {
    [&b"post"[..], b"host:"].iter().any(|name| request.name().eq_ignore_ascii_case(name))
}

fn queue(state: &mut State, command: &Command, request: Request, out: &mut Vec<u8>) {
    let mut replies = Replies::new(out, state.protocol);
    let Some(transaction) = &mut state.transaction else { return };
    if transaction.bytes + request.memory() > Transaction::MOST_BYTES {
        transaction.broken = true;
        let name = command.name;
        return replies
            .error("ERR", format_args!("'{name}' was not queued: the transaction has too many bytes"));
    }
    transaction.bytes += request.memory();
    transaction.takes_memory |= command.is(Flag::DenyOom);
    transaction.writes |= command.is(Flag::Write);
    transaction.queued.push(request);
    replies.status("QUEUED");
}

/// Runs one command of a transaction, or one that comes alone, and counts it.
pub(super) fn run_one(command: &Command, cx: &mut Context<'_, '_>, request: &Request) {
    let began = cx.rt.now();
    let Context { rt, client, now, millis, .. } = *cx;
    let (world, state) = (&mut *cx.world, &mut *cx.state);
    let protocol = state.protocol;
    let result = cx.out.attempt(|out| {
        // Why not `out`'s own: `HELLO`, in a transaction, has changed it for what comes behind.
        let out = &mut out.speaking(protocol);
        (command.run)(&mut Context { rt, world, client, state, request, out, now, millis })
    });
    cx.world.tell_created();
    if result.is_ok() {
        mark(command, cx, request);
    }
    let stats = cx.world.stats.command(command.name);
    stats.calls += 1;
    stats.took += rt.now().since(began);
    if let Err(failure) = result {
        stats.failed += 1;
        refuse(cx.world, &failure, cx.out);
    }
}

/// Tells those who wait for keys, or watch them, that these may have changed.
fn mark(command: &Command, cx: &mut Context<'_, '_>, request: &Request) {
    let wakes = !command.is(Flag::WakesNobody) && cx.world.waiting.len() > 0;
    if !command.is(Flag::Write) || !wakes && cx.world.watched.is_empty() {
        return;
    }
    let (world, db) = (&mut *cx.world, cx.state.db);
    let keys = command.keys_of(request);
    let keys = keys.as_deref();
    match keys {
        Some(keys) if wakes => keys.iter().for_each(|key| world.mark(db, key)),
        Some(keys) => keys.iter().for_each(|key| world.watched.mark(db, key)),
        // It marks its keys itself.
        None if command.is(Flag::WakesNobody) => {}
        None => {
            world.watched.mark_all();
            if wakes {
                world.waiting.mark_all();
            }
        }
    }
}

fn refuse(world: &mut World, failure: &Failure, out: &mut Replies<'_>) {
    world.stats.on_error(failure.code);
    out.error(failure.code, &failure.text);
}

/// Lets others see what the command changed of its client.
fn show(client: &Client, state: &State) {
    let mut shown = client.shown();
    shown.protocol = state.protocol;
    shown.db = state.db;
    shown.channels = state.interests.channels.len();
    shown.patterns = state.interests.patterns.len();
    shown.shards = state.interests.shards.len();
    shown.queued = state.transaction.as_ref().map(|transaction| transaction.queued.len());
}
