//! `callboard inspect DIR --dump TOPIC`: one message after the other.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use callboard::broker::StoredMessage;
use callboard::log::Vfs;
use callboard::log::inspect::{DumpedRecord, dump};

use crate::args::Range;
use crate::show::{hex, plain, text_or_hex, time};
use crate::{End, Failure};

pub(crate) fn run(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    (topic, range): (&str, Range),
    out: &mut dyn Write,
) -> Result<End, Failure> {
    let mut failed = None;
    let damage = dump(vfs, dir, topic, range, &mut |record| match show(record, out) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    crate::inspect::damage(&damage, out)?;
    Ok(if damage.is_empty() { End::Fine } else { End::Damaged })
}

fn show(record: &DumpedRecord<'_>, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{}  {}", record.offset, time(record.millis))?;
    if let Some(seq) = record.seq {
        write!(out, "  id {}-{seq}", record.millis)?;
    }
    if let Some(key) = record.key {
        write!(out, "  dedup key {}", text_or_hex(key))?;
    }
    match StoredMessage::decode(record.body) {
        Ok(message) => parts(&message, out),
        Err(fault) => {
            writeln!(out, "\n   no message: {fault}")?;
            writeln!(out, "   bytes 0x{}", hex(record.body))
        }
    }
}

fn parts(message: &StoredMessage<'_>, out: &mut dyn Write) -> io::Result<()> {
    if let Some(key) = message.key {
        write!(out, "  key {key}")?;
    }
    if let Some(due) = message.due_millis {
        write!(out, "  due {}", time(due))?;
    }
    if let Some(expires) = message.expires_millis {
        write!(out, "  expires {}", time(expires))?;
    }
    if message.version != 0 {
        write!(out, "  version {}", message.version)?;
    }
    if let Some((group, id, times)) = &message.redriven {
        write!(out, "  redriven {times} times for {}, first id {id}", plain(group.as_str()))?;
    }
    writeln!(out)?;
    for (name, value) in message.headers.iter() {
        writeln!(out, "   {name}: {}", text_or_hex(value))?;
    }
    match std::str::from_utf8(message.payload) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) => {
            text.lines().try_for_each(|line| writeln!(out, "   {line}"))
        }
        _ => writeln!(out, "   0x{}", hex(message.payload)),
    }
}
