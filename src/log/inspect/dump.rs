//! Reads the records of a topic.

use std::ops::{Bound, ControlFlow, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use super::rebuild::rebuild;
use super::report::DumpedRecord;
use super::survey::Survey;
use super::walk::walk;
use crate::log::error::{Damage, LogError};
use crate::log::record;
use crate::log::vfs::Vfs;

/// Hands the records of a topic with these offsets to `visit`, in order, until that breaks off.
///
/// It changes nothing. Records that are of no more use, as all groups have settled them, are not among them. What is damaged is
/// left out, and answered; so a gap in the offsets has its reason there.
///
/// # Errors
/// [`LogError::Missing`]: there is no such topic. [`LogError::Io`], [`LogError::NotALog`], [`LogError::Newer`]:
/// see [`verify`](super::verify).
pub fn dump(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    topic: &str,
    range: impl RangeBounds<u64>,
    visit: &mut dyn FnMut(&DumpedRecord<'_>) -> ControlFlow<()>,
) -> Result<Vec<Damage>, LogError> {
    let survey = Survey::of(vfs, dir)?;
    let state = rebuild(&survey)?.state;
    let number = state.topic_named(topic).ok_or(LogError::Missing)?;
    let floor = state.topics.get(&number).map_or(0, |topic| topic.floor);
    let from = match range.start_bound() {
        Bound::Unbounded => 0,
        Bound::Included(from) => *from,
        Bound::Excluded(before) => before.saturating_add(1),
    };
    let from = from.max(floor);
    let walked = walk(&survey, (number, &state), from, &mut |frame| {
        let header = frame.header;
        let records = record::Iter::new(frame.body, header.millis, header.count);
        for (offset, record) in (header.offset..).zip(records).filter(|(offset, _)| *offset >= from) {
            if !range.contains(&offset) {
                return Ok(ControlFlow::Break(()));
            }
            let record::Record { millis, seq, key, body } = record;
            if visit(&DumpedRecord { offset, millis, seq, key, body }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(survey.all_damage(walked.damage))
}
