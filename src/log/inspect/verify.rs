//! Reads every byte that counts.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::rebuild::rebuild;
use super::report::Verified;
use super::survey::Survey;
use super::walk::walk;
use crate::log::error::{Damage, LogError};
use crate::log::layout;
use crate::log::vfs::Vfs;

/// Reads every byte that counts: checksums, offsets without gaps, frames in the files of their topics, records that are whole.
///
/// It changes nothing. `progress` hears how many of how many topics are done, the first time with 0. What of the journal
/// and of segments is needed no more is not looked at: the free slots, what lies behind the end, what all groups have
/// settled.
///
/// # Errors
/// [`LogError::Io`]: the directory can't be listed, or a file can't be opened. [`LogError::NotALog`], [`LogError::Newer`].
/// Damage is none: it is in the answer, all of it.
pub fn verify(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Verified, LogError> {
    let survey = Survey::of(vfs, dir)?;
    let rebuilt = rebuild(&survey)?;
    let mut verified = Verified::default();
    for (_, found) in survey.later() {
        verified.frames += 1;
        verified.bytes += found.len as u64;
    }
    let mut damage = Vec::new();
    let topics = rebuilt.state.topics.len();
    for (done, (number, topic)) in rebuilt.state.topics.iter().enumerate() {
        progress(done, topics);
        let (mut next, mut records, mut gaps) = (topic.floor, 0, 0);
        let walked = walk(&survey, (*number, &rebuilt.state), topic.floor, &mut |frame| {
            let (offset, count) = (frame.header.offset, u64::from(frame.header.count));
            gaps += u64::from(offset > next);
            (next, records) = (offset + count, records + count);
            Ok(ControlFlow::Continue(()))
        })?;
        verified.frames += walked.frames;
        verified.bytes += walked.bytes;
        verified.records += records;
        damage.extend(walked.damage);
        if (gaps > 0 || next < topic.next) && damage.is_empty() && survey.damage.is_empty() {
            let (file, what) = (layout::topic(dir, *number), "records are in no file");
            damage.push(Damage { file, at: 0, lsn: None, what });
        }
    }
    progress(topics, topics);
    verified.inspection = super::tell(&survey, &rebuilt, damage)?;
    Ok(verified)
}
