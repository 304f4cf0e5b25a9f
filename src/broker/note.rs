//! What is remembered of a message, as the log keeps it. Pure.
//!
//! Its last part is: failures; 0, or 1 and a reason it was given up for, as text, or one of the others; the last error.

use std::sync::Arc;

use super::DeadReason;
use super::ledger::{Past, Remembered};
use super::record::Clocks;
use crate::base::varint::{Take, put_bytes, put_u64};
use crate::base::whole_millis;
use crate::log::Note;

const LIVES: u64 = 0;
const REJECTED: u64 = 1;
const TOO_MANY_ATTEMPTS: u64 = 2;
const KEY_FULL: u64 = 3;
const EXPIRED: u64 = 4;

pub(crate) fn to_note(remembered: &Remembered, clocks: Clocks) -> Note {
    let Remembered { past, due, dead } = remembered;
    let wait = due.map_or(0, |due| whole_millis(due.since(clocks.now)));
    let due = if wait == 0 { 0 } else { clocks.millis.saturating_add(wait) };
    let mut more = Vec::new();
    put_u64(&mut more, past.failures.into());
    match dead {
        None => put_u64(&mut more, LIVES),
        Some(DeadReason::Rejected(reason) | DeadReason::Undecodable(reason)) => {
            put_u64(&mut more, REJECTED);
            put_bytes(&mut more, reason.as_bytes());
        }
        Some(DeadReason::TooManyAttempts) => put_u64(&mut more, TOO_MANY_ATTEMPTS),
        Some(DeadReason::KeyFull) => put_u64(&mut more, KEY_FULL),
        Some(DeadReason::Expired) => put_u64(&mut more, EXPIRED),
    }
    if let Some(error) = &past.error {
        put_bytes(&mut more, error.as_bytes());
    }
    Note { attempts: past.attempts, due, more }
}

/// Reads it; what a later version may have added is not looked at.
pub(crate) fn of_note(note: &Note, clocks: Clocks) -> Remembered {
    let mut take = Take::new(&note.more);
    let failures = take.u64().and_then(|failures| u32::try_from(failures).ok()).unwrap_or(0);
    let dead = match take.u64() {
        Some(REJECTED) => Some(DeadReason::Rejected(take_text(&mut take).unwrap_or_default())),
        Some(TOO_MANY_ATTEMPTS) => Some(DeadReason::TooManyAttempts),
        Some(KEY_FULL) => Some(DeadReason::KeyFull),
        Some(EXPIRED) => Some(DeadReason::Expired),
        _ => None,
    };
    let error = take_text(&mut take);
    let past = Past { attempts: note.attempts, failures, redrives: 0, no_room: 0, error };
    let due = (note.due > 0).then(|| clocks.moment(note.due));
    Remembered { past, due, dead }
}

fn take_text(take: &mut Take<'_>) -> Option<Arc<str>> {
    Some(String::from_utf8_lossy(take.sized()?).into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::Moment;

    #[test]
    fn what_is_noted_is_remembered_in_the_time_of_another_process() {
        let before = Clocks { now: Moment::from_nanos(5_000_000), millis: 1_000_000 };
        let after = Clocks { now: Moment::ZERO + Duration::from_secs(900), millis: 1_002_000 };
        let past = Past { attempts: 4, failures: 3, redrives: 0, no_room: 0, error: Some("no paper".into()) };
        let reasons = [DeadReason::TooManyAttempts, DeadReason::KeyFull, DeadReason::Expired];
        let rejected = DeadReason::Rejected("not ours".into());
        for dead in reasons.into_iter().chain([rejected]).map(Some).chain([None]) {
            let due = Some(before.now + Duration::from_secs(5));
            let note = to_note(&Remembered { past: past.clone(), due, dead: dead.clone() }, before);
            let due = Some(after.now + Duration::from_secs(3));
            assert_eq!(of_note(&note, after), Remembered { past: past.clone(), due, dead });
        }
        // A wall clock that went back must not hold it for longer than it was to wait.
        let note = to_note(&Remembered { due: Some(before.now), ..Remembered::default() }, before);
        assert_eq!(of_note(&note, after).due, None);
    }
}
