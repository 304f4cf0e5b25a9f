//! Does P27 find what it is there for, and pass what is right?

use super::super::apply;
use super::super::made_up::Story;
use super::*;

fn found(story: Story) -> usize {
    apply(is_there_for_all, &story.end()).len()
}

/// Twelve messages, of which the first two were trimmed, and a group that begins at the first.
fn late() -> Story {
    let story = Story::of(&[]).accepted(0, 10).kept(0, 10).accepted(10, 2).kept(2, 12);
    story.open("g").placed("g", Start::Earliest, Some(2))
}

#[test]
fn a_group_is_to_be_offered_all_that_is_kept_and_once() {
    assert_eq!(found(late().offered("g", 2, 12).settled("g", 2, 12).quiet()), 0);
    assert_eq!(found(late().offered("g", 3, 12).settled("g", 3, 12).quiet()), 1, "one was left out");
    assert_eq!(found(late().offered("g", 2, 12).settled("g", 2, 11).quiet()), 1, "one is not settled");
    assert_eq!(found(late().offered("g", 2, 12).offered("g", 5, 6)), 1, "one came twice");
    let live = || late().accepted(12, 1).kept(3, 13).passed_by("g", 2, 3).offered("g", 3, 13);
    assert_eq!(found(live().settled("g", 3, 13).quiet()), 0);
}

#[test]
fn what_is_passed_by_must_be_gone_and_not_have_been_accepted_for_the_group() {
    assert_eq!(found(late().passed_by("g", 2, 3)), 1, "it is kept");
    let trimmed = || late().accepted(12, 10).kept(12, 10);
    assert_eq!(found(trimmed().passed_by("g", 2, 12)), 0);
    let more = trimmed().accepted(22, 2).kept(14, 12);
    assert_eq!(found(more.passed_by("g", 12, 14)), 1, "it was there for these");
}

#[test]
fn a_group_begins_where_it_is_told_and_again_where_it_is_moved_to() {
    let at = |start| Story::of(&[]).accepted(0, 4).kept(0, 4).open("g").placed("g", start, Some(0));
    let offset = || at(Start::Offset(2)).offered("g", 2, 4).settled("g", 2, 4);
    assert_eq!((found(offset().quiet()), found(offset().offered("g", 1, 2))), (0, 1));
    let moved = || offset().moved("g", 3, false).offered("g", 3, 4);
    assert_eq!((found(moved().settled("g", 3, 4).quiet()), found(moved().offered("g", 3, 4))), (0, 1));
    assert_eq!(found(offset().moved("g", 0, false).quiet()), 1);
    let other = Story::of(&["h"]).accepted(0, 4).placed("h", Start::Earliest, None).offered("h", 0, 4);
    let other = other.settled("h", 0, 1).kept(4, 4).open("g").placed("g", Start::Earliest, Some(4));
    assert_eq!(found(other.clone().offered("g", 1, 4)), 0, "what another one keeps is there");
    assert_eq!(found(other.quiet()), 1);
}

#[test]
fn the_end_is_where_what_was_confirmed_ends() {
    let story = || Story::of(&["g"]).tried(7).accepted(0, 1).confirmed(7, 0).sought("g");
    let old = |to| story().moved("g", to, true).offered("g", 0, 1);
    assert_eq!(found(old(1)), 1, "it was confirmed before");
    let later = |to| story().moved("g", to, true).tried(8).accepted(1, 1);
    assert_eq!(
        (found(later(1).offered("g", 1, 2).confirmed(8, 1)), found(later(5).confirmed(8, 1).quiet())),
        (0, 1)
    );
}

#[test]
fn what_is_kept_is_within_its_limits_and_the_floor_only_rises() {
    let story = || Story::of(&[]).accepted(0, 12);
    assert_eq!(found(story().kept(2, 12)), 0);
    assert_eq!(found(story().kept(1, 12)), 1, "eleven are too many");
    assert_eq!(found(story().kept(2, 9)), 1, "one is not there");
    assert_eq!(found(story().kept(4, 12).kept(3, 12)), 1);
    assert_eq!(found(Story::of(&[]).accepted(0, 900).kept(890, 900)), 1, "too much stays in memory");
}

#[test]
fn a_browse_has_no_hole_but_what_was_trimmed() {
    let story = || Story::of(&[]).accepted(0, 6).kept(2, 6);
    let forth = |at, shown: &[u64]| found(story().browsed(at, false, shown));
    assert_eq!((forth(0, &[2, 3, 4, 5]), forth(3, &[3, 4, 5]), forth(9, &[])), (0, 0, 0));
    assert_eq!((forth(0, &[3, 4, 5]), forth(0, &[2, 4, 5]), forth(0, &[2, 3, 4])), (1, 1, 1));
    assert_eq!(forth(0, &[2, 4, 3, 5]), 3, "out of order");
    let back = |at, shown: &[u64]| found(story().browsed(at, true, shown));
    assert_eq!((back(u64::MAX, &[5, 4, 3, 2]), back(4, &[3, 2]), back(0, &[])), (0, 0, 0));
    assert_eq!((back(u64::MAX, &[4, 3, 2]), back(u64::MAX, &[5, 3, 2]), back(4, &[3])), (1, 1, 1));
}
