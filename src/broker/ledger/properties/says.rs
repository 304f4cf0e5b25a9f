//! What a consumer says of one message.

use std::time::Duration;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Says {
    Ack,
    Fail,
    FailFor(u64),
    Drop,
    Dead,
    Release,
    NoRoom,
}

impl Says {
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Says::Ack => Verdict::Ack,
            Says::Fail => Verdict::failed("no"),
            Says::FailFor(ms) => {
                Verdict::Retry { error: "no".into(), after: Some(Duration::from_millis(ms)) }
            }
            Says::Drop => Verdict::Drop,
            Says::Dead => Verdict::Dead { reason: "hopeless".into() },
            Says::Release => Verdict::Release,
            Says::NoRoom => Verdict::NoRoom { error: "full".into() },
        }
    }
}
