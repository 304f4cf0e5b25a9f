//! What a group does by itself: `CB.GROUP`, which is this server's own.

use std::sync::Arc;

use super::groups::of_key;
use super::{MOST_NAME, change, group, is, no_key_or_group, number, put_number, stream};
use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::commands::table::help;

pub(in crate::server::commands) const COMMANDS: &[Command] = &[
    of_key("cb.group|set", -6, &[Flag::Write, Flag::WakesNobody], set),
    of_key("cb.group|get", 4, &[Flag::ReadOnly], get),
    Command { name: "cb.group|help", arity: 2, flags: &[], keys: (0, 0, 0), run: cb_group_help },
];

fn set(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let mut policy = group(cx, 2, 3, no_key_or_group)?.1.policy().clone();
    for at in (4..cx.request.len()).step_by(2) {
        if at + 1 == cx.request.len() {
            return Err(Failure::SYNTAX);
        } else if is(cx, at, "acktimeout") {
            policy.ack_timeout = not_zero(cx, at + 1, "ACKTIMEOUT is not an integer or out of range")?;
        } else if is(cx, at, "maxdeliveries") {
            policy.max_deliveries = not_zero(cx, at + 1, "MAXDELIVERIES is not an integer or out of range")?;
        } else if is(cx, at, "deadletter") {
            policy.dead_letter = dead_letter(cx, at + 1)?;
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    let (db, key, name) =
        (cx.state.db, cx.request.get(2).unwrap_or_default(), cx.request.get(3).unwrap_or_default());
    change(cx, 2, |stream| stream.set_policy(name, policy))?;
    // Who waits already has to look at another time now.
    cx.world.waiting.nudge(db, key);
    cx.out.ok();
    Ok(())
}

/// 0 is none.
fn not_zero(cx: &Context<'_, '_>, at: usize, error: &'static str) -> Result<Option<u64>, Failure> {
    let value = u64::try_from(number(cx, at, error)?).map_err(|_| Failure::err(error))?;
    Ok((value > 0).then_some(value))
}

/// An empty key is none.
fn dead_letter(cx: &Context<'_, '_>, at: usize) -> Result<Option<Arc<[u8]>>, Failure> {
    let key = cx.arg(at);
    if key.is_empty() {
        return Ok(None);
    }
    if key == cx.arg(2) {
        return Err(Failure::err("a group's dead letters can't go to the stream that they come from"));
    }
    if key.len() > MOST_NAME {
        return Err(Failure::say(format!("DEADLETTER has at most {MOST_NAME} bytes")));
    }
    // Something else is there: refused now, and not when the first one dies.
    stream(cx, at)?;
    Ok(Some(key.into()))
}

fn get(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let policy = group(cx, 2, 3, no_key_or_group)?.1.policy().clone();
    let dead = policy.dead_letter_of(cx.arg(2), cx.arg(3));
    cx.out.map(3);
    cx.out.bulk(b"ack-timeout");
    put_number(cx.out, policy.ack_timeout.unwrap_or(0));
    cx.out.bulk(b"max-deliveries");
    put_number(cx.out, policy.max_deliveries.unwrap_or(0));
    cx.out.bulk(b"dead-letter");
    cx.out.bulk(&dead);
    Ok(())
}

fn cb_group_help(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    help(
        cx,
        &[
            "CB.GROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "SET <key> <groupname> <option> <value> [option value ...]",
            "    Tell a consumer group what to do with entries that nobody acknowledges. Options are:",
            "    * ACKTIMEOUT milliseconds",
            "      Hand them to whoever reads next, as if it had said CLAIM. 0: no.",
            "    * MAXDELIVERIES count",
            "      Then they are dead letters, and not claimed once more. 0: never.",
            "    * DEADLETTER key",
            "      The stream that takes these. Default: <key>.<groupname>.dead.",
            "GET <key> <groupname>",
            "    Show what a consumer group was told.",
        ],
    );
    Ok(())
}
