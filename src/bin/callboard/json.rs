//! The same for a program. Fields are added, and none changes what it means.

use std::path::Path;

use callboard::broker::StoredTerms;
use callboard::log::Damage;
use callboard::log::inspect::{GroupInfo, Inspection, SegmentInfo, SlotInfo, TopicInfo, Verified};
use serde_json::{Value, json};

use crate::show::hex;

pub(crate) fn inspection(found: &Inspection, verified: Option<&Verified>) -> Value {
    let all = |values: Vec<Value>| Value::Array(values);
    json!({
        "format": found.format,
        "uuid": found.uuid.map(|uuid| hex(&uuid)),
        "locked": found.locked,
        "closed": found.closed,
        "lsn": found.lsn,
        "durable": found.durable,
        "checkpoint_lsn": found.checkpoint_lsn,
        "torn": found.torn.as_ref().map(|torn| json!({
            "file": path(&torn.file), "at": torn.at, "bytes": torn.bytes,
        })),
        "journal": all(found.slots.iter().map(slot).collect()),
        "topics": all(found.topics.iter().map(topic).collect()),
        "strangers": all(found.strangers.iter().map(|stranger| path(stranger)).collect()),
        "stopped": found.stopped.as_ref().map(damage),
        "damage": all(found.damage.iter().map(damage).collect()),
        "verified": verified.map(|verified| json!({
            "frames": verified.frames, "records": verified.records, "bytes": verified.bytes,
        })),
    })
}

fn slot(slot: &SlotInfo) -> Value {
    json!({
        "file": path(&slot.file),
        "turn": slot.turn,
        "first_lsn": slot.first_lsn,
        "frames": slot.frames,
        "used": slot.used,
        "bytes": slot.bytes,
        "needed": slot.needed,
        "current": slot.current,
    })
}

fn topic(topic: &TopicInfo) -> Value {
    let terms = StoredTerms::decode(&topic.about);
    json!({
        "number": topic.number,
        "name": topic.name,
        "codec": terms.as_ref().map(|terms| &terms.codec),
        "keyed": terms.as_ref().map(|terms| terms.keyed),
        "durability": terms.as_ref().map(|terms| terms.durability.to_string()),
        "about": hex(&topic.about),
        "keeps": topic.keeps,
        "floor": topic.floor,
        "next": topic.next,
        "last_millis": topic.last_millis,
        "dedup_keys": topic.keys,
        "journal_records": topic.journal_records,
        "segments": topic.segments.iter().map(segment).collect::<Vec<_>>(),
        "groups": topic.groups.iter().map(group).collect::<Vec<_>>(),
    })
}

fn segment(segment: &SegmentInfo) -> Value {
    json!({
        "file": path(&segment.file),
        "base": segment.base,
        "end": segment.end,
        "bytes": segment.bytes,
        "needed": segment.needed,
    })
}

fn group(group: &GroupInfo) -> Value {
    json!({
        "number": group.number,
        "name": group.name,
        "floor": group.floor,
        "lag": group.lag,
        "notes": group.notes,
    })
}

fn damage(damage: &Damage) -> Value {
    json!({ "file": path(&damage.file), "at": damage.at, "lsn": damage.lsn, "what": damage.what })
}

fn path(path: &Path) -> Value {
    path.to_string_lossy().into()
}
