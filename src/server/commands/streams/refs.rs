//! Deleting with regard to what groups hold: `XDELEX` and `XACKDEL`, as Redis has them since 8.2.

use super::{change, id, is, numbered_ids, stream};
use crate::server::command::{Command, Context, Failure, Flag};
use crate::server::notify::Class;
use crate::server::stream::{Deleted, Id, Refs, Stream};

const FLAGS: &[Flag] = &[Flag::Write, Flag::Fast, Flag::WakesNobody];

pub(in crate::server::commands) const COMMANDS: &[Command] = &[
    Command { name: "xdelex", arity: -5, flags: FLAGS, keys: (1, 1, 1), run: xdelex },
    Command { name: "xackdel", arity: -6, flags: FLAGS, keys: (1, 1, 1), run: xackdel },
];

fn xdelex(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    delete(cx, 2, |stream, _, id, refs| stream.delete_with(id, refs))
}

fn xackdel(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    delete(cx, 3, |stream, group, id, refs| stream.ack_and_delete(group, id, refs))
}

fn delete(
    cx: &mut Context<'_, '_>,
    options: usize,
    delete: impl Fn(&mut Stream, &[u8], Id, Refs) -> Deleted,
) -> Result<(), Failure> {
    // `XDELEX` is told of no group.
    let has = |stream: &Stream| options == 2 || stream.groups.contains_key(cx.arg(2));
    let is_there = stream(cx, 1)?.is_some_and(has);
    let (refs, (from, to)) = parse(cx, options)?;
    let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
    let group = cx.request.get(2).unwrap_or_default();
    let deleted = match is_there {
        true => {
            let ids = (from..to).map(|at| id(cx, at)).collect::<Result<Vec<_>, _>>()?;
            change(cx, 1, |stream| ids.iter().map(|id| delete(stream, group, *id, refs)).collect::<Vec<_>>())?
        }
        // Redis does not look at the ids then.
        false => vec![Deleted::Missing; to - from],
    };
    if deleted.contains(&Deleted::Gone) {
        cx.world.notify(Class::Stream, "xdel", db, key);
    }
    cx.out.array(deleted.len());
    deleted.iter().for_each(|deleted| {
        cx.out.integer(match deleted {
            Deleted::Missing => -1,
            Deleted::Gone => 1,
            Deleted::Held => 2,
        });
    });
    Ok(())
}

/// `[KEEPREF | DELREF | ACKED] IDS number id ..`, in either order: what is to become of references, and where the ids are.
fn parse(cx: &Context<'_, '_>, from: usize) -> Result<(Refs, (usize, usize)), Failure> {
    let (mut refs, mut ids, mut at) = (None, None, from);
    while at < cx.request.len() {
        match super::refs(cx, at) {
            Some(policy) if refs.is_none() => {
                refs = Some(policy);
                at += 1;
            }
            None if is(cx, at, "ids") && at + 1 < cx.request.len() => {
                let found = numbered_ids(
                    cx,
                    at + 1,
                    "Number of IDs must be a positive integer",
                    "The `numids` parameter must match the number of arguments",
                )?;
                ids = Some(found);
                at = found.1;
            }
            _ => return Err(Failure::SYNTAX),
        }
    }
    Ok((refs.unwrap_or_default(), ids.ok_or(Failure::err("IDS option is required"))?))
}
