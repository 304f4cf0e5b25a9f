//! Streams: the commands, by what they are about, and what they share.

use crate::server::command::{Context, Failure};
use crate::server::resp::{Aggregate, Replies};
use crate::server::stream::{Entry, Id, Refs, Stream, StreamGroup};

mod bury;
mod claim;
mod entries;
mod groups;
mod nack;
mod policy;
mod read;
mod refs;
mod shown;

pub(super) use claim::COMMANDS as PENDING;
pub(super) use entries::COMMANDS as ENTRIES;
pub(super) use groups::COMMANDS as GROUPS;
pub(super) use nack::COMMANDS as NACK;
pub(super) use policy::COMMANDS as POLICY;
pub(super) use read::COMMANDS as READS;
pub(in crate::server) use read::{claims_after, left_at, serve};
pub(super) use refs::COMMANDS as REFS;
pub(super) use shown::COMMANDS as SHOWN;

/// The most bytes of a group's or a consumer's name that is written to disk.
const MOST_NAME: usize = 4096;

/// The stream in the key that is an argument. `None`: there is nothing.
fn stream<'a>(cx: &'a Context<'_, '_>, key: usize) -> Result<Option<&'a Stream>, Failure> {
    Ok(cx.world.keys.stream(cx.state.db, cx.arg(key))?)
}

/// Changes the stream in a key that was found to have one.
fn change<R>(
    cx: &mut Context<'_, '_>,
    key: usize,
    change: impl FnOnce(&mut Stream) -> R,
) -> Result<R, Failure> {
    let (db, key) = (cx.state.db, cx.request.get(key).unwrap_or_default());
    cx.world.keys.change_stream(db, key, change).ok_or(Failure::NO_SUCH_KEY)
}

/// The group of these two arguments, its key's and its own.
fn group<'a>(
    cx: &'a Context<'_, '_>,
    key: usize,
    name: usize,
    missing: impl FnOnce(&str, &str) -> String,
) -> Result<(&'a Stream, &'a StreamGroup), Failure> {
    let found = stream(cx, key)?.and_then(|stream| Some((stream, stream.groups.get(cx.arg(name))?)));
    found.ok_or_else(|| no_group(cx.arg(key), cx.arg(name), missing))
}

fn no_group(key: &[u8], name: &[u8], missing: impl FnOnce(&str, &str) -> String) -> Failure {
    let (key, name) = (String::from_utf8_lossy(key), String::from_utf8_lossy(name));
    Failure { code: "NOGROUP", text: missing(&key, &name).into() }
}

fn no_key_or_group(key: &str, group: &str) -> String {
    format!("No such key '{key}' or consumer group '{group}'")
}

fn no_group_of_key(key: &str, group: &str) -> String {
    format!("No such consumer group '{group}' for key name '{key}'")
}

/// An argument as an id.
fn id(cx: &Context<'_, '_>, at: usize) -> Result<Id, Failure> {
    Id::parse(cx.arg(at), 0).ok_or(Failure::INVALID_ID)
}

/// Arguments from one on, as ids.
fn ids(cx: &Context<'_, '_>, from: usize) -> Result<Vec<Id>, Failure> {
    (from..cx.request.len()).map(|at| id(cx, at)).collect()
}

/// Where the ids are that an argument counts: from one argument to behind the last.
fn numbered_ids(
    cx: &Context<'_, '_>,
    at: usize,
    not_positive: &'static str,
    too_few: &'static str,
) -> Result<(usize, usize), Failure> {
    let many = usize::try_from(number(cx, at, not_positive)?).ok();
    let many = many.filter(|many| *many > 0).ok_or(Failure::err(not_positive))?;
    let end = (at + 1).checked_add(many).filter(|end| *end <= cx.request.len());
    Ok((at + 1, end.ok_or(Failure::err(too_few))?))
}

/// An argument as what is to become of what groups hold, if it is that.
fn refs(cx: &Context<'_, '_>, at: usize) -> Option<Refs> {
    let all = [("keepref", Refs::Keep), ("delref", Refs::Drop), ("acked", Refs::Acked)];
    all.iter().find(|(name, _)| is(cx, at, name)).map(|(_, refs)| *refs)
}

/// Fails where a group's or a consumer's name is longer than what is written again with each snapshot may be.
fn name_fits(cx: &Context<'_, '_>, at: usize) -> Result<(), Failure> {
    match cx.world.keeper {
        Some(_) if cx.arg(at).len() > MOST_NAME => Err(Failure::say(format!(
            "the name of a group or consumer has at most {MOST_NAME} bytes where it is written to disk"
        ))),
        _ => Ok(()),
    }
}

/// An argument as a number, with an error of its own.
fn number(cx: &Context<'_, '_>, at: usize, error: &'static str) -> Result<i64, Failure> {
    crate::server::resp::parse_i64(cx.arg(at)).ok_or(Failure::err(error))
}

/// An argument as how many; less than none is none.
fn count(cx: &Context<'_, '_>, at: usize) -> Result<usize, Failure> {
    Ok(usize::try_from(cx.integer(at)?.max(0)).unwrap_or(usize::MAX))
}

/// Whether an argument is this option.
fn is(cx: &Context<'_, '_>, at: usize, option: &str) -> bool {
    cx.arg(at).eq_ignore_ascii_case(option.as_bytes())
}

fn put_len(out: &mut Replies<'_>, many: usize) {
    out.integer(i64::try_from(many).unwrap_or(i64::MAX));
}

fn put_number(out: &mut Replies<'_>, number: u64) {
    out.integer(i64::try_from(number).unwrap_or(i64::MAX));
}

fn put_entry(out: &mut Replies<'_>, entry: Entry<'_>) {
    put_parts(out, entry, 2);
}

/// Writes an entry of so many parts, of which these are two.
fn put_parts(out: &mut Replies<'_>, entry: Entry<'_>, parts: usize) {
    out.array(parts);
    out.bulk_of(entry.id);
    let (count, parts) = entry.fields.parts();
    out.array(count);
    parts.for_each(|part| out.bulk(part));
}

fn put_entries<'a>(out: &mut Replies<'_>, entries: impl Iterator<Item = Entry<'a>>) {
    out.counted(Aggregate::Array, |out| entries.map(|entry| put_entry(out, entry)).count());
}

fn put_ids(out: &mut Replies<'_>, ids: &[Id]) {
    out.array(ids.len());
    ids.iter().for_each(|id| out.bulk_of(id));
}
