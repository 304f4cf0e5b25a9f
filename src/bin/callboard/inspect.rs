//! `callboard inspect`: what is in a data directory, for a person.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use callboard::broker::StoredTerms;
use callboard::log::inspect::{Inspection, Salvaged, TopicInfo, Verified, inspect, salvage, verify};
use callboard::log::{Damage, LogError, RealFs, Vfs};

use crate::args::How;
use crate::show::{hex, plain, size, table, time};
use crate::{End, Failure, dump, json};

pub(crate) fn run(dir: &Path, how: &How, out: &mut dyn Write) -> Result<End, Failure> {
    let vfs: Arc<dyn Vfs> = Arc::new(RealFs);
    match how {
        How::Look { verify: true, json } => {
            let found = verify(&vfs, dir, &mut |_, _| ())?;
            if *json {
                writeln!(out, "{:#}", json::inspection(&found.inspection, Some(&found)))?;
            } else {
                show(dir, &found.inspection, Some(&found), out)?;
            }
            Ok(end(&found.inspection.damage))
        }
        How::Look { verify: false, json } => {
            let found = inspect(&vfs, dir)?;
            if *json {
                writeln!(out, "{:#}", json::inspection(&found, None))?;
            } else {
                show(dir, &found, None, out)?;
            }
            Ok(end(&found.damage))
        }
        How::Dump { topic, range } => dump::run(&vfs, dir, (topic, *range), out),
        How::Salvage { to } => {
            let salvaged = salvage(&vfs, dir, to, fastrand::u64(..)).map_err(refused)?;
            show_salvaged(to, &salvaged, out)?;
            Ok(if salvaged.given_up.is_empty() { end(&salvaged.damage) } else { End::Damaged })
        }
    }
}

fn end(damage: &[Damage]) -> End {
    if damage.is_empty() { End::Fine } else { End::Damaged }
}

/// A lock is a reason to wait, and a directory that is not empty one to name another.
fn refused(error: LogError) -> Failure {
    match error {
        LogError::Locked { .. } => format!("{error}: end that first").into(),
        error => error.into(),
    }
}

fn show(dir: &Path, found: &Inspection, verified: Option<&Verified>, out: &mut dyn Write) -> io::Result<()> {
    let uuid = found.uuid.map_or("of unknown identity".to_string(), |uuid| hex(&uuid));
    writeln!(out, "{}: a log of format {}, {uuid}", dir.display(), found.format)?;
    let how = match (found.locked, found.closed, &found.stopped) {
        (Some(true), ..) => {
            "open in another process: what follows may be out of date, and damage may be none"
        }
        (_, _, Some(_)) => "damaged: it can't be opened",
        _ if found.checkpoint_lsn.is_none() => "damaged: its checkpoint is lost, and it can't be opened",
        (_, true, _) => "closed in order",
        (_, false, _) => "not closed in order: messages may have been in hand when it ended",
    };
    writeln!(out, "  {how}")?;
    let checkpoint = found.checkpoint_lsn.map_or("none".to_string(), |lsn| lsn.to_string());
    writeln!(
        out,
        "  next frame {}, known on disk below {}, checkpoint {checkpoint}",
        found.lsn, found.durable
    )?;
    if let Some(torn) = &found.torn {
        let at = format!("{} at byte {}", torn.file.display(), torn.at);
        writeln!(out, "  a commit was torn, {at}: opening cuts {}", size(torn.bytes))?;
    }
    writeln!(out, "\njournal")?;
    journal(dir, found, out)?;
    let until = if found.stopped.is_some() { ", before the damage in the journal" } else { "" };
    writeln!(out, "\ntopics{until}")?;
    topics(found, out)?;
    if found.topics.iter().any(|topic| !topic.groups.is_empty()) {
        writeln!(out, "\ngroups")?;
        groups(found, out)?;
    }
    if !found.strangers.is_empty() {
        writeln!(out, "\nnot of the log")?;
        found.strangers.iter().try_for_each(|path| writeln!(out, "  {}", path.display()))?;
    }
    if let Some(Verified { frames, records, bytes, .. }) = verified {
        writeln!(out, "\nread {frames} whole frames with {}, and {records} records", size(*bytes))?;
    }
    damage(&found.damage, out)?;
    if found.damage.is_empty() {
        let seen = if verified.is_some() { "nothing" } else { "nothing seen; --verify reads segments too" };
        writeln!(out, "\ndamage: {seen}")?;
    } else if found.stopped.is_some() || found.checkpoint_lsn.is_none() {
        writeln!(out, "  opening is refused; --salvage TO makes a new log of what is whole")?;
    }
    Ok(())
}

fn journal(dir: &Path, found: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = vec![row(["FILE <", "TURN", "FIRST LSN", "FRAMES", "USED", "SIZE", "IS <"])];
    for slot in &found.slots {
        let is = match (slot.current, slot.needed, slot.turn) {
            (true, ..) if found.stopped.is_none() => "written now",
            (_, true, _) => "needed",
            (_, _, None) => "damaged",
            _ => "free",
        };
        let file = slot.file.strip_prefix(dir).unwrap_or(&slot.file).display().to_string();
        let turn = slot.turn.map_or("?".to_string(), |turn| turn.to_string());
        let (first, frames) = (slot.first_lsn.to_string(), slot.frames.to_string());
        rows.push(row([&file, &turn, &first, &frames, &size(slot.used), &size(slot.bytes), is]));
    }
    table(out, &rows)
}

fn topics(found: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    if found.topics.is_empty() {
        return writeln!(out, "  none");
    }
    let heads = ["#", "NAME <", "OFFSETS <", "RECORDS", "SEGMENTS", "BYTES", "JOURNAL", "LAST <", "CODEC <"];
    let mut rows = vec![row(heads)];
    for topic in &found.topics {
        let TopicInfo { number, name, floor, next, last_millis, .. } = topic;
        let offsets = if floor == next { format!("{floor}..") } else { format!("{floor}..{next}") };
        let bytes = topic.segments.iter().map(|segment| segment.bytes).sum();
        let last = if *next == 0 { "-".to_string() } else { time(*last_millis) };
        rows.push(vec![
            number.to_string(),
            plain(name),
            offsets,
            (next - floor).to_string(),
            topic.segments.len().to_string(),
            size(bytes),
            topic.journal_records.to_string(),
            last,
            terms(topic),
        ]);
    }
    table(out, &rows)
}

fn terms(topic: &TopicInfo) -> String {
    let Some(terms) = StoredTerms::decode(&topic.about) else { return "unknown".into() };
    let keyed = if terms.keyed { ", with keys" } else { "" };
    let keeps = if topic.keeps { ", keeps its history" } else { "" };
    format!("{}, {}{keyed}{keeps}", plain(&terms.codec), terms.durability)
}

fn groups(found: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = vec![row(["TOPIC <", "GROUP <", "SETTLED BELOW", "LAG", "NOTES"])];
    for topic in &found.topics {
        for group in &topic.groups {
            let numbers = [group.floor, group.lag, group.notes].map(|number| number.to_string());
            let [floor, lag, notes] = &numbers;
            rows.push(row([&plain(&topic.name), &plain(&group.name), floor, lag, notes]));
        }
    }
    table(out, &rows)
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(String::from).to_vec()
}

/// What is damaged, if something is.
pub(crate) fn damage(damage: &[Damage], out: &mut dyn Write) -> io::Result<()> {
    if damage.is_empty() {
        return Ok(());
    }
    writeln!(out, "\ndamage")?;
    damage.iter().try_for_each(|damage| writeln!(out, "  {damage}"))
}

fn show_salvaged(to: &Path, salvaged: &Salvaged, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: a new log, of all that is whole", to.display())?;
    let mut rows = vec![row(["#", "TOPIC <", "OFFSETS <", "RECORDS", "STAND-INS"])];
    for topic in &salvaged.topics {
        let offsets = format!("{}..{}", topic.floor, topic.next);
        let numbers =
            [u64::from(topic.number), topic.records, topic.fillers].map(|number| number.to_string());
        let [number, records, fillers] = &numbers;
        rows.push(row([number, &plain(&topic.name), &offsets, records, fillers]));
    }
    table(out, &rows)?;
    damage(&salvaged.damage, out)?;
    if let Some(torn) = &salvaged.torn {
        writeln!(
            out,
            "\na commit was torn, and counted for nothing: {} at byte {}",
            torn.file.display(),
            torn.at
        )?;
    }
    if salvaged.given_up.is_empty() {
        return writeln!(out, "\ngiven up: nothing");
    }
    writeln!(out, "\ngiven up")?;
    salvaged.given_up.iter().try_for_each(|given| writeln!(out, "  {}", plain(&given.to_string())))
}
