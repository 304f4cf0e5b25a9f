//! Deleting with regard to what groups hold: `XDELEX` and `XACKDEL`, as Redis has them since 8.2.

use super::{change, id, is, stream};
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
    let (refs, ids) = parse(cx, options)?;
    let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
    let group = cx.request.get(2).unwrap_or_default();
    let deleted = match stream(cx, 1)? {
        Some(_) => {
            change(cx, 1, |stream| ids.iter().map(|id| delete(stream, group, *id, refs)).collect::<Vec<_>>())?
        }
        None => vec![Deleted::Missing; ids.len()],
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

/// `[KEEPREF | DELREF | ACKED] IDS number id ..`, in either order.
fn parse(cx: &Context<'_, '_>, from: usize) -> Result<(Refs, Vec<Id>), Failure> {
    let (mut refs, mut ids, mut at) = (None, None, from);
    while at < cx.request.len() {
        let policy = [("keepref", Refs::Keep), ("delref", Refs::Drop), ("acked", Refs::Acked)];
        match policy.iter().find(|(name, _)| is(cx, at, name)) {
            Some((_, policy)) if refs.is_none() => {
                refs = Some(*policy);
                at += 1;
            }
            None if is(cx, at, "ids") && ids.is_none() && at + 1 < cx.request.len() => {
                let many = usize::try_from(cx.integer(at + 1)?).ok().filter(|many| *many > 0);
                let many = many.ok_or(Failure::err("Number of IDs must be a positive integer"))?;
                let end = (at + 2).checked_add(many).filter(|end| *end <= cx.request.len());
                let end =
                    end.ok_or(Failure::err("The `numids` parameter must match the number of arguments"))?;
                ids = Some((at + 2..end).map(|at| id(cx, at)).collect::<Result<Vec<_>, _>>()?);
                at = end;
            }
            _ => return Err(Failure::SYNTAX),
        }
    }
    Ok((refs.unwrap_or_default(), ids.ok_or(Failure::SYNTAX)?))
}
