//! All that there is to see of the streams of a server.

use std::collections::BTreeMap;

use crate::server::keys::{Keys, Value};
use crate::server::stream::{Change, Fields, GroupChange, Id, Interval};
use crate::server::tests::desk::Desk;

/// A stream: its entries, and all else but for when consumers asked last.
type Seen = (Vec<(Id, Fields)>, Vec<Change>, u64, bool);

pub(in crate::server) type View = BTreeMap<(usize, Vec<u8>), Seen>;

/// All streams, by where they are.
pub(in crate::server) fn view(keys: &Keys) -> View {
    let mut all = View::new();
    for db in 0..3 {
        for name in keys.names(db, None) {
            let Some(Value::Stream(stream)) = keys.get(db, name) else { continue };
            let entries = stream.range(Interval { from: Id::ZERO, to: Id::MAX });
            let entries = entries.map(|entry| (entry.id, entry.fields.clone())).collect();
            let mut changes = stream.snapshot();
            for change in &mut changes {
                if let Change::Group { change: GroupChange::Met { seen, .. }, .. } = change {
                    *seen = 0;
                }
            }
            let ends = keys.expires(db, name).flatten().is_some();
            all.insert((db, name.to_vec()), (entries, changes, stream.next_offset(), ends));
        }
    }
    all
}

/// What a server has to say of a stream, as a person would ask.
pub(super) fn shown(desk: &mut Desk, key: &str) -> String {
    let mut guest = desk.guest();
    desk.say(&mut guest, &format!("XRANGE {key} - +\r\nXPENDING {key} g - + 100"))
}
