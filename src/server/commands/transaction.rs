//! Several commands as one.

use crate::server::client::Doom;
use crate::server::command::{self, Command, Context, Failure, Flag};
use crate::server::execute::run_one;
use crate::server::state::Transaction;
use crate::server::watch::Watch;

const FLAGS: &[Flag] = &[Flag::Fast, Flag::InTransaction];

pub(super) const COMMANDS: &[Command] = &[
    Command { name: "multi", arity: 1, flags: FLAGS, keys: (0, 0, 0), run: multi },
    Command {
        name: "exec",
        arity: 1,
        flags: &[Flag::Fast, Flag::InTransaction, Flag::EndsTransaction],
        keys: (0, 0, 0),
        run: exec,
    },
    Command { name: "discard", arity: 1, flags: FLAGS, keys: (0, 0, 0), run: discard },
    Command { name: "watch", arity: -2, flags: FLAGS, keys: (1, -1, 1), run: watch },
    Command { name: "unwatch", arity: 1, flags: &[Flag::Fast], keys: (0, 0, 0), run: unwatch },
];

fn multi(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    if cx.state.transaction.is_some() {
        return Err(Failure::err("MULTI calls can not be nested"));
    }
    cx.state.transaction = Some(Transaction::default());
    cx.out.ok();
    Ok(())
}

/// Nobody else's command is run between these.
fn exec(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let transaction = cx.state.transaction.take().ok_or(Failure::err("EXEC without MULTI"))?;
    let changed = cx.state.watch.is_changed();
    cx.world.watched.leave(&mut cx.state.watch);
    if transaction.broken {
        return Err(Failure::new("EXECABORT", "Transaction discarded because of previous errors."));
    }
    if changed {
        cx.out.null_array();
        return Ok(());
    }
    let begin = cx.out.len();
    cx.out.array(transaction.queued.len());
    cx.state.executing = true;
    for request in &transaction.queued {
        // Each was looked at when it was queued.
        if let Some(command) = command::find(request) {
            run_one(command, cx, request);
        }
        // The rest of them are run all the same: they are one.
        if cx.out.len() - begin > Transaction::MOST_ANSWER {
            cx.client.doom(Doom::Greedy);
            cx.out.truncate(begin);
        }
    }
    cx.state.executing = false;
    Ok(())
}

fn discard(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.state.transaction.take().ok_or(Failure::err("DISCARD without MULTI"))?;
    cx.world.watched.leave(&mut cx.state.watch);
    cx.out.ok();
    Ok(())
}

fn watch(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    if cx.state.transaction.is_some() {
        return Err(Failure::err("WATCH inside MULTI is not allowed"));
    }
    let keys = cx.request.args().skip(1);
    if cx.state.watch.len() + keys.len() > Watch::MOST {
        return Err(Failure::say(format!("a client can't watch more than {} keys", Watch::MOST)));
    }
    keys.for_each(|key| cx.world.watched.add(&mut cx.state.watch, cx.state.db, key));
    cx.out.ok();
    Ok(())
}

fn unwatch(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    cx.world.watched.leave(&mut cx.state.watch);
    cx.out.ok();
    Ok(())
}
