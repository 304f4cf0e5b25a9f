//! Does P22 find what it is there for, and pass what is right?

use super::super::made_up::Story;
use super::*;

/// A first process that publishes 10 and 11 as 0 and 1, both confirmed; and a second one.
fn found(first: Story, second: Story, ended: Ended, drained: bool) -> usize {
    let life = |story: Story, ended| Life { history: story.end(), ended, at: Moment::ZERO };
    let lives = vec![life(first, ended), life(second, Ended::ShutDown)];
    let saga = Saga { lives, intervals: BTreeMap::new(), drained };
    what_was_confirmed_is_there(&saga).len()
}

fn first() -> Story {
    let story = Story::of(&["g"]).tried(10).accepted(0, 1).offered("g", 0, 1).confirmed(10, 0);
    story.tried(11).accepted(1, 1).offered("g", 1, 2).confirmed(11, 1)
}

fn second() -> Story {
    Story::of(&["g"]).recovered(2).offered("g", 0, 2)
}

fn all() -> Story {
    second().attempt("g", 0, 1, End::Acked).attempt("g", 1, 1, End::Acked).settled("g", 0, 2)
}

#[test]
fn what_is_lost_or_not_settled_in_the_end_is_found() {
    assert_eq!(found(first(), all(), Ended::PowerCut, true), 0);
    assert_eq!(found(first(), Story::of(&["g"]).recovered(1), Ended::PowerCut, false), 1);
    let skipped = second().attempt("g", 1, 1, End::Acked).settled("g", 1, 2);
    assert_eq!(found(first(), skipped, Ended::PowerCut, true), 1);
}

#[test]
fn what_begins_again_though_it_was_done_with_or_unmarked_is_found() {
    let done = || first().attempt("g", 0, 1, End::Acked).settled("g", 0, 1);
    let again = || second().began("g", 1, 0, 1).handled_unsure("g", 0, 10);
    assert_eq!(found(done(), again(), Ended::PowerCut, false), 0, "the log may not have heard of it");
    let known = || done().tried(12).accepted(2, 1).confirmed(12, 2);
    let three = || Story::of(&["g"]).recovered(3).offered("g", 0, 3);
    assert_eq!(found(known(), three().began("g", 1, 0, 1), Ended::PowerCut, false), 1);
    let begun = || first().began("g", 1, 0, 1);
    assert_eq!(found(begun(), again(), Ended::Killed, false), 0);
    let unmarked = second().began("g", 1, 0, 1).handled("g", 0, 10);
    assert_eq!(found(begun(), unmarked, Ended::Killed, false), 1);
    let third = second().began("g", 1, 0, 3);
    assert_eq!(found(begun(), third, Ended::Killed, false), 1, "one was before");
}

#[test]
fn what_nobody_published_and_a_dead_letter_that_is_gone_are_found() {
    assert_eq!(found(first(), second().handled("g", 0, 99), Ended::Killed, false), 2, "nor is it the same");
    let dead = || first().attempt("g", 0, 1, End::Failed).dead("g", 0, 1).settled("g", 0, 1);
    let rest = || second().attempt("g", 1, 1, End::Acked).settled("g", 1, 2);
    assert_eq!(found(dead(), rest(), Ended::ShutDown, true), 1);
    assert_eq!(found(dead(), rest().letter("g", 0), Ended::ShutDown, true), 0);
}

/// A group that was moved back to 0 once it had settled 0 and 1, and a second process.
fn moved(second: Story, ended: Ended, answered: bool) -> usize {
    let settled = first().attempt("g", 0, 1, End::Acked).attempt("g", 1, 1, End::Acked).settled("g", 0, 2);
    let story = settled.moved("g", 0, false).offered("g", 0, 2);
    let story = if answered { story.answered("g") } else { story };
    found(story, second, ended, true)
}

#[test]
fn a_group_that_was_moved_is_where_it_was_moved_to_once_that_was_answered() {
    let nothing = || Story::of(&["g"]).recovered(2);
    assert_eq!(moved(all(), Ended::PowerCut, true), 0, "as if it had begun nothing");
    assert!(moved(nothing(), Ended::PowerCut, true) > 0);
    assert!(moved(nothing(), Ended::ShutDown, false) > 0);
    assert_eq!(moved(nothing(), Ended::PowerCut, false), 0, "it is here or there");
    assert_eq!(moved(all(), Ended::PowerCut, false), 0);
}

#[test]
fn a_group_on_its_way_is_where_it_was() {
    let leaves = || first().lets_go("g").removed("g", 0, 2).settled("g", 0, 2);
    assert_eq!(found(leaves(), all(), Ended::PowerCut, true), 0);
    assert_eq!(found(leaves(), Story::of(&["g"]).recovered(2), Ended::ShutDown, true), 2);
}

#[test]
fn a_group_that_begins_late_is_owed_what_is_kept() {
    let late = || first().open("h").placed("h", crate::broker::Start::Offset(1), Some(0)).offered("h", 1, 2);
    let second = || {
        let story = all().open("h");
        story.offered("h", 1, 2)
    };
    assert_eq!(found(late(), second(), Ended::ShutDown, true), 1);
    let reads = second().attempt("h", 1, 1, End::Acked).settled("h", 1, 2);
    assert_eq!(found(late(), reads, Ended::ShutDown, true), 0);
}
