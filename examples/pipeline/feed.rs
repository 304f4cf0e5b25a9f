//! Where the lines come in: they are published as they are read, and a topic that is full is dealt with.

use std::time::Duration;

use callboard::prelude::*;

use crate::Work;
use crate::line::Line;
use crate::pause::pause;

/// How long to wait before a topic that had no room is asked again.
const AGAIN: Duration = Duration::from_millis(1);

/// Publishes lines, in order. Answers how often the topic refused to take more of them.
pub(crate) async fn publish(lines: &Topic<Line>, piece: Vec<String>, work: &Work) -> Result<u64, Fault> {
    let mut refused = 0;
    let mut rest: Vec<Line> = piece.into_iter().map(Line::new).collect();
    // Where a publish waits, it is here; so however long the input is, only so much of it is in memory.
    while let Err(error) = lines.publish_all(rest).await {
        match error.kind {
            // The topic does not wait; or consumers hold all that it could evict. What came in stays in.
            ErrorKind::Full => refused += 1,
            // It drops what comes, and gives it back all the same.
            ErrorKind::Dropped => {
                work.losses.drop_newest(&error.rest);
                break;
            }
            _ => return Err(error.into()),
        }
        rest = error.rest;
        pause(AGAIN).await;
    }
    Ok(refused)
}
