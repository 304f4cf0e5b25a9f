//! Letting go of what is pending: `XNACK`, as Redis has it since 8.8.

use super::{change, group, id, is, no_key_or_group, numbered_ids, put_len};
use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::stream::{Blame, Release};

/// Who waits to claim what is left lying is woken: it is so at once.
const FLAGS: &[Flag] = &[Flag::Write, Flag::Fast];

pub(in crate::server::commands) const COMMANDS: &[Command] =
    &[Command { name: "xnack", arity: -7, flags: FLAGS, keys: (1, 1, 1), run: xnack }];

fn xnack(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    group(cx, 1, 2, no_key_or_group)?;
    let modes = [("silent", Blame::Nobody), ("fail", Blame::Consumer), ("fatal", Blame::Entry)];
    let mode = modes.iter().find(|(mode, _)| is(cx, 3, mode));
    let blame = mode.ok_or(Failure::err("mode must be SILENT, FAIL, or FATAL"))?.1;
    let (release, (from, to)) = parse(cx, Release { blame, count: None, force: false })?;
    let ids = (from..to).map(|at| id(cx, at)).collect::<Result<Vec<_>, _>>()?;
    let name = cx.request.get(2).unwrap_or_default();
    let released = change(cx, 1, |stream| stream.release(name, (release, &ids)))?;
    put_len(cx.out, released);
    Ok(())
}

/// `IDS number id ..`, `RETRYCOUNT count` and `FORCE`, in any order: how, and where the ids are.
fn parse(cx: &Context<'_, '_>, mut release: Release) -> Result<(Release, (usize, usize)), Failure> {
    let (mut ids, mut at) = (None, 4);
    while at < cx.request.len() {
        let more = at + 1 < cx.request.len();
        if is(cx, at, "ids") && more {
            let found = numbered_ids(
                cx,
                at + 1,
                "numids must be a positive integer",
                "number of IDs doesn't match numids",
            )?;
            ids = Some(found);
            at = found.1;
        } else if is(cx, at, "force") {
            release.force = true;
            at += 1;
        } else if is(cx, at, "retrycount") && more {
            let count = u64::try_from(cx.integer(at + 1)?);
            let count = count.map_err(|_| Failure::err("Invalid RETRYCOUNT value, must be >= 0"))?;
            release.count = Some(count);
            at += 2;
        } else {
            let option = String::from_utf8_lossy(cx.arg(at)).into_owned();
            return Err(Failure::say(format!("Unrecognized XNACK option '{option}'")));
        }
    }
    Ok((release, ids.ok_or(Failure::err("syntax error, expected IDS keyword"))?))
}
