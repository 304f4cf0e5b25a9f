//! Does a run end as it should: answers given, nothing left, no panic but where it was made?

use std::collections::BTreeMap;

use super::{Finds, History, What};

/// P15: every publish that was tried was answered or dropped, and nothing of the broker is left.
pub(super) fn every_publish_is_answered(history: &History, finds: &mut Finds<'_>) {
    if history.report.is_none() {
        return;
    }
    let mut open: BTreeMap<_, i64> = BTreeMap::new();
    for what in history.whats() {
        match what {
            What::Tried { topic, value } => *open.entry((topic, value)).or_default() += 1,
            What::Confirmed { topic, value, .. }
            | What::Delayed { topic, value, .. }
            | What::Refused { topic, value }
            | What::Cancelled { topic, value } => *open.entry((topic, value)).or_default() -= 1,
            _ => {}
        }
    }
    for ((topic, value), answers) in open.into_iter().filter(|(_, answers)| *answers != 0) {
        let fault = if answers > 0 { "never answered" } else { "answered twice" };
        finds.say(format_args!("the publish of {value} to {topic} was {fault}"));
    }
    for task in &history.left {
        finds.say(format_args!("the task `{task}` is left"));
    }
}

/// P17: what a user's code throws ends no task.
pub(super) fn no_panic_escapes(history: &History, finds: &mut Finds<'_>) {
    history.escaped.iter().for_each(|panic| finds.say(panic));
}

#[cfg(test)]
mod tests {
    use super::super::apply;
    use super::super::made_up::Story;
    use super::*;

    #[test]
    fn a_publish_without_an_answer_and_a_task_that_is_left_are_found() {
        let tried = || Story::of(&["g"]).tried(1);
        assert_eq!(apply(every_publish_is_answered, &tried().confirmed(1, 0).report(&[])), [""; 0]);
        assert_eq!(apply(every_publish_is_answered, &tried().report(&[])).len(), 1);
        assert_eq!(apply(every_publish_is_answered, &tried().end()), [""; 0], "the run was not ended");
        let twice = tried().confirmed(1, 0).confirmed(1, 1);
        assert_eq!(apply(every_publish_is_answered, &twice.report(&[])).len(), 1);
        let mut left = tried().confirmed(1, 0).report(&[]);
        left.left.push("group t.g".to_owned());
        assert_eq!(apply(every_publish_is_answered, &left).len(), 1);
    }

    #[test]
    fn a_panic_that_escaped_is_found() {
        let mut history = Story::of(&["g"]).end();
        assert_eq!(apply(no_panic_escapes, &history), [""; 0]);
        history.escaped.push("task `consumer` panicked: boom".to_owned());
        assert_eq!(apply(no_panic_escapes, &history).len(), 1);
    }
}
