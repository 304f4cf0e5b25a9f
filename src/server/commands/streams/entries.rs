//! Entries: adding, reading by id, deleting, trimming.

use super::{change, count, id, ids, is, number, put_entries, put_len, refs, stream};
use crate::server::command::{Command, Context, Failure, Flag, Run};
use crate::server::keys::Value;
use crate::server::notify::Class;
use crate::server::stream::{Fields, GivenId, Id, Interval, Keep, NoId, Refs, Stream, Trim};

const READS: &[Flag] = &[Flag::ReadOnly];
const TAKES: &[Flag] = &[Flag::Write, Flag::WakesNobody];

const fn of_key(name: &'static str, arity: i32, flags: &'static [Flag], run: Run) -> Command {
    Command { name, arity, flags, keys: (1, 1, 1), run }
}

pub(in crate::server::commands) const COMMANDS: &[Command] = &[
    of_key("xadd", -5, &[Flag::Write, Flag::DenyOom, Flag::Fast], xadd),
    of_key("xlen", 2, &[Flag::ReadOnly, Flag::Fast], xlen),
    of_key("xrange", -4, READS, xrange),
    of_key("xrevrange", -4, READS, xrevrange),
    of_key("xdel", -3, TAKES, xdel),
    of_key("xtrim", -4, TAKES, xtrim),
    of_key("xsetid", -3, &[Flag::Write, Flag::DenyOom, Flag::WakesNobody], xsetid),
];

/// What `XADD` and `XTRIM` are told before what is added.
#[derive(Default)]
struct Options {
    keep: Option<Keep>,
    about: bool,
    limit: Option<usize>,
    refs: Option<Refs>,
    no_stream: bool,
    given: Option<GivenId>,
    /// Where they end.
    end: usize,
}

impl Options {
    fn parse(cx: &Context<'_, '_>, adds: bool) -> Result<Options, Failure> {
        let (mut options, last) = (Options { end: 2, ..Options::default() }, cx.request.len() - 1);
        while options.end <= last {
            let (at, more) = (options.end, last - options.end);
            if (is(cx, at, "maxlen") || is(cx, at, "minid")) && more > 0 {
                options.threshold(cx, at, more)?;
            } else if is(cx, at, "limit") && more > 0 {
                options.limit = Some(not_negative(cx, at + 1, "The LIMIT argument must be >= 0.")?);
                options.end += 2;
            } else if options.refs.is_none()
                && let Some(refs) = refs(cx, at)
            {
                options.refs = Some(refs);
                options.end += 1;
            } else if adds && is(cx, at, "nomkstream") {
                options.no_stream = true;
                options.end += 1;
            } else if adds {
                options.given = GivenId::parse(cx.arg(at));
                options.given.ok_or(Failure::INVALID_ID)?;
                break;
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        options.check(adds)
    }

    fn threshold(&mut self, cx: &Context<'_, '_>, at: usize, more: usize) -> Result<(), Failure> {
        if self.keep.is_some() {
            return Err(Failure::err(
                "syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let sign = more > 1 && matches!(cx.arg(at + 1), b"~" | b"=");
        self.about = sign && cx.arg(at + 1) == b"~";
        let value = at + 1 + usize::from(sign);
        self.keep = Some(match is(cx, at, "maxlen") {
            true => Keep::Newest(not_negative(cx, value, "The MAXLEN argument must be >= 0.")?),
            false => Keep::From(id(cx, value)?),
        });
        self.end = value + 1;
        Ok(())
    }

    fn check(self, adds: bool) -> Result<Options, Failure> {
        let wrong = |text| Err(Failure::err(text));
        match (self.keep, self.limit) {
            (None, Some(1..)) => {
                wrong("syntax error, LIMIT cannot be used without specifying a trimming strategy")
            }
            (None, _) if !adds => wrong("syntax error, XTRIM must be called with a trimming strategy"),
            (_, Some(_)) if !self.about => {
                wrong("syntax error, LIMIT cannot be used without the special ~ option")
            }
            _ => Ok(self),
        }
    }

    /// How to trim, if it was asked for. Without a limit of its own it is one that takes not too long.
    fn trim(&self, cx: &Context<'_, '_>) -> Option<Trim> {
        let most = match cx.world.config.nodes.node_entries.saturating_mul(100) {
            0 => 10_000,
            most => most.min(1_000_000),
        };
        let about = self.about.then(|| self.limit.unwrap_or(most));
        Some(Trim { keep: self.keep?, about, refs: self.refs.unwrap_or_default() })
    }
}

fn not_negative(cx: &Context<'_, '_>, at: usize, error: &'static str) -> Result<usize, Failure> {
    usize::try_from(cx.integer(at)?).map_err(|_| Failure::err(error))
}

fn xadd(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let options = Options::parse(cx, true)?;
    let fields = (cx.request.len() - options.end).saturating_sub(1);
    let given = options.given.filter(|_| fields >= 2 && fields.is_multiple_of(2));
    let given = given.ok_or_else(|| Failure::arity("xadd"))?;
    if given == GivenId::Whole(Id::ZERO) {
        return Err(Failure::err("The ID specified in XADD must be greater than 0-0"));
    }
    let new = Stream::default();
    let there = stream(cx, 1)?;
    let is_new = there.is_none();
    if is_new && options.no_stream {
        cx.out.null();
        return Ok(());
    }
    let id = there.unwrap_or(&new).next_id(given, cx.millis).map_err(|why| match why {
        NoId::Exhausted => {
            Failure::err("The stream has exhausted the last possible ID, unable to add more items")
        }
        NoId::NotAbove => {
            Failure::err("The ID specified in XADD is equal or smaller than the target stream top item")
        }
    })?;
    let parts: Vec<&[u8]> = cx.request.args().skip(options.end + 1).collect();
    let fields = Fields::new(parts.into_iter());
    if let Some(keeper) = &cx.world.keeper
        && fields.len() > keeper.most_entry()
    {
        let most = keeper.most_entry();
        return Err(Failure::say(format!("an entry has at most {most} bytes where it is written to disk")));
    }
    let (db, key) = (cx.state.db, cx.request.get(1).unwrap_or_default());
    if is_new {
        cx.world.keys.set(db, key, Value::Stream(Box::new(new)), None);
    }
    let (limits, trim) = (cx.world.config.nodes, options.trim(cx));
    let trimmed = change(cx, 1, |stream| {
        stream.add(id, fields, limits);
        trim.map_or(0, |trim| stream.trim(trim))
    })?;
    cx.world.notify(Class::Stream, "xadd", db, key);
    if trimmed > 0 {
        cx.world.notify(Class::Stream, "xtrim", db, key);
    }
    cx.out.bulk_of(id);
    Ok(())
}

fn xlen(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let len = stream(cx, 1)?.map_or(0, Stream::len);
    put_len(cx.out, len);
    Ok(())
}

fn xrange(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    range(cx, false)
}

fn xrevrange(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    range(cx, true)
}

fn range(cx: &mut Context<'_, '_>, back: bool) -> Result<(), Failure> {
    let (from, to) = if back { (3, 2) } else { (2, 3) };
    let of = Interval::parse(cx.arg(from), cx.arg(to))?;
    let mut most = None;
    let mut at = 4;
    while at < cx.request.len() {
        if !is(cx, at, "count") || at + 1 == cx.request.len() {
            return Err(Failure::SYNTAX);
        }
        most = Some(count(cx, at + 1)?);
        at += 2;
    }
    let Some(stream) = cx.world.keys.stream(cx.state.db, cx.request.get(1).unwrap_or_default())? else {
        cx.out.array(0);
        return Ok(());
    };
    let take = most.unwrap_or(usize::MAX);
    match (most, back) {
        (Some(0), _) => cx.out.null_array(),
        (_, false) => put_entries(cx.out, stream.range(of).take(take)),
        (_, true) => put_entries(cx.out, stream.range(of).rev().take(take)),
    }
    Ok(())
}

fn xdel(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    if stream(cx, 1)?.is_none() {
        cx.out.integer(0);
        return Ok(());
    }
    let ids = ids(cx, 2)?;
    let gone = change(cx, 1, |stream| ids.iter().filter(|id| stream.delete(**id)).count())?;
    if gone > 0 {
        cx.world.notify(Class::Stream, "xdel", cx.state.db, cx.request.get(1).unwrap_or_default());
    }
    put_len(cx.out, gone);
    Ok(())
}

fn xtrim(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let options = Options::parse(cx, false)?;
    if stream(cx, 1)?.is_none() {
        cx.out.integer(0);
        return Ok(());
    }
    let trim = options.trim(cx);
    let gone = change(cx, 1, |stream| trim.map_or(0, |trim| stream.trim(trim)))?;
    if gone > 0 {
        cx.world.notify(Class::Stream, "xtrim", cx.state.db, cx.request.get(1).unwrap_or_default());
    }
    put_len(cx.out, gone);
    Ok(())
}

fn xsetid(cx: &mut Context<'_, '_>) -> Result<(), Failure> {
    let last = id(cx, 2)?;
    let (mut added, mut max_deleted, mut at) = (None, None, 3);
    while at < cx.request.len() {
        if at + 1 == cx.request.len() {
            return Err(Failure::SYNTAX);
        }
        if is(cx, at, "entriesadded") {
            let many = number(cx, at + 1, "value is not an integer or out of range")?;
            added = Some(u64::try_from(many).map_err(|_| Failure::err("entries_added must be positive"))?);
        } else if is(cx, at, "maxdeletedid") {
            let deleted = id(cx, at + 1)?;
            if last < deleted {
                return Err(Failure::err(
                    "The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            max_deleted = Some(deleted);
        } else {
            return Err(Failure::SYNTAX);
        }
        at += 2;
    }
    let there = stream(cx, 1)?.ok_or(Failure::NO_SUCH_KEY)?;
    if there.newest().is_some_and(|newest| last < newest.id) {
        return Err(Failure::err("The ID specified in XSETID is smaller than the target stream top item"));
    }
    if added.is_some_and(|added| there.len() > 0 && added < there.len() as u64) {
        return Err(Failure::err(
            "The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    change(cx, 1, |stream| {
        let max_deleted = max_deleted.filter(|id| *id > Id::ZERO).unwrap_or(stream.max_deleted);
        stream.set_counts(last, added.unwrap_or(stream.added), max_deleted);
    })?;
    cx.world.notify(Class::Stream, "xsetid", cx.state.db, cx.request.get(1).unwrap_or_default());
    cx.out.ok();
    Ok(())
}
