//! Who is restarted with whom, how soon, and how often (guarantee G14)?

use super::*;

#[test]
fn one_for_one_restarts_the_child_alone_after_its_backoff() {
    let mut rig = Rig::running(OneForOne, &[Always, Always, Always]);
    assert_eq!(rig.fails('b'), "");
    assert_eq!(rig.alarm(), Some(PAUSE));
    assert_eq!(rig.after(PAUSE - MS), "", "too early");
    assert_eq!(rig.fails('a'), "", "backoffs run side by side");
    assert_eq!(rig.after(MS), "start b");
    assert_eq!(rig.after(PAUSE - MS), "start a", "and no start waits for another");
    assert_eq!((rig.up('a'), rig.up('b'), rig.alarm()), (String::new(), String::new(), None));
}

#[test]
fn rest_for_one_restarts_the_child_and_the_later_ones() {
    let mut rig = Rig::running(RestForOne, &[Always, Always, Always, Always]);
    assert_eq!(rig.fails('b'), "stop d");
    assert_eq!(rig.ends('d'), "stop c");
    assert_eq!(rig.alarm(), None, "the stops come first");
    assert_eq!(rig.after(PAUSE), "", "however long they take");
    assert_eq!(rig.ends('c'), "start b");
    assert_eq!(rig.up('b'), "start c");
    assert_eq!(rig.up('c'), "start d");
    assert_eq!(rig.up('d'), "");
    assert_eq!(rig.plan.phase(id('a')), Some(Phase::Running(Moment::ZERO + Duration::from_secs(1))));
}

#[test]
fn one_for_all_restarts_every_child_after_the_backoff_of_the_one_that_failed() {
    let mut rig = Rig::running(OneForAll, &[Always, Always, Always]);
    assert_eq!(rig.fails('b'), "stop c");
    assert_eq!(rig.ends('c'), "stop a");
    assert_eq!(rig.ends('a'), "");
    assert_eq!(rig.alarm(), Some(PAUSE), "a has nothing to wait for but b");
    assert_eq!(rig.after(PAUSE), "start a");
    assert_eq!(rig.up('a'), "start b");
    assert_eq!(rig.up('b'), "start c");
    assert_eq!(rig.up('c'), "");
}

#[test]
fn a_sibling_that_ends_while_it_waits_to_be_stopped_is_part_of_the_same_restart() {
    let mut rig = Rig::running(OneForAll, &[Always, OnFailure, Always, Never]);
    assert_eq!(rig.fails('a'), "stop d");
    for name in ['b', 'c'] {
        assert_eq!(if name == 'b' { rig.ends(name) } else { rig.fails(name) }, "", "down already");
    }
    assert_eq!(rig.ends('d'), "forget d", "never means not even with its siblings");
    assert_eq!(rig.after(PAUSE), "start a");
    assert_eq!((rig.up('a'), rig.up('b')), ("start b".to_owned(), "start c".to_owned()));
    assert_eq!(rig.up('c'), "");
    // Only one of the three allowed restarts is used up.
    for _ in 0..2 {
        assert!(rig.fails('c').starts_with("stop"));
        rig.ends('b');
        rig.ends('a');
        assert_eq!(rig.after(PAUSE), "start a");
        rig.up('a');
        rig.up('b');
        rig.up('c');
    }
    assert_eq!(rig.fails('c'), "stop b");
    assert_eq!(rig.ends('b'), "stop a");
    assert_eq!(rig.ends('a'), "escalate: restarts of c");
}

#[test]
fn a_failure_while_the_siblings_come_up_again_starts_over_and_counts() {
    let mut rig = Rig::running(OneForAll, &[Always, Always, Always]);
    for round in 0..2 {
        assert_eq!(rig.fails('a'), if round == 0 { "stop c" } else { "stop b" }, "b's start is broken off");
        if round == 0 {
            assert_eq!(rig.ends('c'), "stop b");
        }
        rig.ends('b');
        assert_eq!(rig.after(PAUSE), "start a");
        assert_eq!(rig.up('a'), "start b");
    }
    assert_eq!(rig.fails('b'), "stop a", "a restart that fails is the third");
    assert_eq!(rig.ends('a'), "");
    assert_eq!(rig.after(PAUSE), "start a");
    assert_eq!(rig.fails('a'), "escalate: restarts of a", "and this one is too many");
}

#[test]
fn a_failure_further_left_widens_the_restart_under_way() {
    let mut rig = Rig::running(RestForOne, &[Always, Always, Always, Always]);
    assert_eq!(rig.fails('c'), "stop d");
    rig.now = rig.now + 30 * MS;
    assert_eq!(rig.fails('a'), "", "d is still stopping");
    assert_eq!(rig.ends('d'), "stop b");
    assert_eq!(rig.ends('b'), "");
    assert_eq!(rig.alarm(), Some(PAUSE), "the later backoff holds them all");
    assert_eq!(rig.after(PAUSE), "start a");
    assert_eq!(
        (rig.up('a'), rig.up('b'), rig.up('c')),
        ("start b".into(), "start c".into(), "start d".into())
    );
}

#[test]
fn the_restart_rule_decides_by_the_way_a_child_ended() {
    let mut rig = Rig::running(OneForOne, &[Always, OnFailure, OnFailure, Never, Never]);
    rig.ends('a');
    assert_eq!(rig.plan.phase(id('a')), Some(Phase::Waiting), "a normal end is an end too");
    rig.ends('b');
    assert_eq!(rig.plan.phase(id('b')), Some(Phase::Done));
    rig.fails('c');
    assert_eq!(rig.plan.phase(id('c')), Some(Phase::Waiting));
    assert_eq!((rig.ends('d'), rig.fails('e')), ("forget d".to_owned(), "forget e".to_owned()));
    assert_eq!(rig.after(PAUSE), "start a, start c", "due together, started together");
    assert_eq!(rig.plan.phase(id('d')), None);
}

#[test]
fn a_child_that_ended_well_comes_back_with_its_siblings() {
    let mut rig = Rig::running(RestForOne, &[Always, OnFailure, Never]);
    assert_eq!(rig.ends('b'), "");
    assert_eq!(rig.fails('c'), "forget c", "its end restarts nobody");
    assert_eq!(rig.fails('a'), "");
    assert_eq!(rig.after(PAUSE), "start a");
    assert_eq!(rig.up('a'), "start b");
}

#[test]
fn too_many_restarts_stop_all_children_and_escalate() {
    let mut rig = Rig::running(OneForOne, &[Always, Always, Always]);
    for name in ['a', 'b', 'c'] {
        rig.fails(name);
        assert_eq!(rig.after(PAUSE), format!("start {name}"));
        rig.up(name);
    }
    assert_eq!(rig.fails('b'), "stop c", "all children count together");
    assert_eq!(rig.fails('a'), "");
    assert_eq!(rig.ends('c'), "escalate: restarts of b");

    let mut rig = Rig::running(OneForOne, &[Always]);
    for _ in 0..9 {
        rig.after(Duration::from_secs(2));
        rig.fails('a');
        assert_eq!(rig.after(PAUSE), "start a", "three in five seconds are never exceeded");
        rig.up('a');
    }
}

#[test]
fn a_restart_that_fails_is_tried_again_with_a_longer_backoff_until_the_child_calms() {
    let mut plan = Plan::new(OneForOne, Intensity::new(100, Duration::from_secs(1)));
    plan.add(Always, Backoff::exponential(10 * MS, 80 * MS).reset_after(500 * MS)).unwrap();
    let mut rig = Rig { plan, now: Moment::ZERO };
    assert_eq!((rig.start(), rig.up('a')), ("start a".into(), "ready".into()));
    for wait in [10, 20, 40, 80, 80] {
        assert_eq!(rig.fails('a'), "");
        assert_eq!(rig.alarm(), Some(wait * MS));
        assert_eq!(rig.after(wait * MS), "start a");
    }
    rig.up('a');
    rig.after(499 * MS);
    rig.fails('a');
    assert_eq!(rig.alarm(), Some(80 * MS), "not yet calm");
    rig.after(80 * MS);
    rig.up('a');
    rig.after(500 * MS);
    rig.fails('a');
    assert_eq!(rig.alarm(), Some(10 * MS), "its past is forgotten");
}

#[test]
fn a_child_that_calmed_before_it_was_stopped_with_its_siblings_starts_counting_afresh() {
    let mut rig = Rig { plan: Plan::new(OneForAll, Intensity::new(9, PAUSE)), now: Moment::ZERO };
    rig.plan.add(Always, Backoff::none()).unwrap();
    rig.plan.add(Always, Backoff::exponential(10 * MS, 80 * MS)).unwrap();
    rig.start();
    for wait in [10, 20, 10] {
        rig.up('a');
        rig.up('b');
        rig.fails('b');
        rig.ends('a');
        assert_eq!(rig.alarm(), Some(wait * MS));
        assert_eq!(rig.after(wait * MS), "start a");
        if wait == 20 {
            rig.up('a');
            rig.up('b');
            rig.after(80 * MS);
            assert_eq!((rig.fails('a'), rig.ends('b')), ("stop b".into(), "start a".into()));
        }
    }
}

#[test]
fn a_short_backoff_does_not_cut_a_siblings_long_one() {
    let mut rig = Rig { plan: Plan::new(RestForOne, Intensity::default()), now: Moment::ZERO };
    rig.plan.add(Always, Backoff::fixed(10 * MS)).unwrap();
    rig.plan.add(Always, Backoff::fixed(50 * MS)).unwrap();
    rig.start();
    rig.up('a');
    rig.up('b');
    assert_eq!((rig.fails('b'), rig.fails('a')), (String::new(), String::new()));
    assert_eq!(rig.after(10 * MS), "start a");
    assert_eq!((rig.up('a'), rig.alarm()), (String::new(), Some(40 * MS)));
    assert_eq!(rig.after(40 * MS), "start b");
}

/// What `Intensity`'s documentation says of the two defaults together.
#[test]
fn with_the_defaults_a_hopeless_child_is_given_up_and_a_shaky_one_is_not() {
    for (lives, given_up) in [(0, true), (5, true), (6, false), (60, false)] {
        let mut plan = Plan::new(OneForOne, Intensity::default());
        plan.add(Always, Backoff::default()).unwrap();
        let mut rig = Rig { plan, now: Moment::ZERO };
        rig.start();
        rig.up('a');
        let mut gave_up = None;
        for failure in 0..1_000_u64 {
            rig.now = rig.now + Duration::from_secs(lives);
            let random = failure.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let effects = text(&rig.plan.on_exit(id('a'), End::Failed, rig.now, random));
            if effects.starts_with("escalate") {
                gave_up = Some(rig.now.since(Moment::ZERO));
                break;
            }
            assert_eq!(rig.after(rig.alarm().unwrap()), "start a");
            rig.up('a');
        }
        assert_eq!(gave_up.is_some(), given_up, "one that lives {lives} s");
        if lives == 0 {
            let gave_up = gave_up.unwrap().as_millis();
            assert!((2_400..=3_100).contains(&gave_up), "after {gave_up} ms");
        }
    }
}
