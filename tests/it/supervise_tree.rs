//! Do trees of supervisors start, grow, shrink, give up and end as one?

use std::time::Duration;

use callboard::actor::{Exit, System};
use callboard::supervise::{
    AddError, Backoff, ChildSpec, ChildState, Escalated, Intensity, Reason, RemoveError, Restart, StartError,
    Strategy, Supervisor, SupervisorHandle,
};

use crate::every;
use crate::supervise_probe::{Stage, Tell, Unit, crash, hold, nothing, which};

const HOUR: Duration = Duration::from_secs(3600);

fn one_for_one(name: &str) -> Supervisor {
    Supervisor::one_for_one(&System::start().unwrap())
        .name(name)
        .backoff(Backoff::none())
        .intensity(Intensity::new(100, Duration::from_secs(1)))
}

async fn names(handle: &SupervisorHandle) -> Vec<String> {
    handle.children().await.iter().map(|child| child.name.to_string()).collect()
}

/// G14
#[test]
fn a_child_that_fails_to_start_fails_the_start_and_those_before_it_are_stopped() {
    every::runtime(|| async {
        for panics in [false, true] {
            let stage = Stage::new();
            let mut tree = one_for_one("top");
            let a = tree.child(stage.spec("a")).unwrap();
            let b = tree.child(stage.spec("b")).unwrap();
            let bad = stage.spec_with("c", move |mut unit| {
                unit.start_fails = true;
                unit.start_panics = panics;
                unit
            });
            let c = tree.child(bad.restart(Restart::Never)).unwrap();
            let d = tree.child(stage.spec("d")).unwrap();
            d.send(Tell::Note(1)).await.unwrap();
            let Err(StartError::Failed(why)) = tree.start().await else { panic!("it started") };
            assert_eq!((why.child.as_str(), why.reason), ("c", Reason::StartFailed));
            let text = why.to_string();
            let cause = if panics { "panicked: started panics" } else { "failed: not today" };
            assert_eq!(text, format!("supervisor top gave up: its child c could not be started: {cause}"));
            assert_eq!(stage.log.take(), ["a up", "b up", "c down", "b down", "a down"]);
            assert_eq!(d.ended().await.unhandled, 1, "what waited for it is counted");
            assert!([a, b, c, d].iter().all(|child| child.is_closed()));
        }
    });
}

#[test]
fn settings_that_cannot_be_used_are_refused_at_the_door() {
    every::runtime(|| async {
        let stage = Stage::new();
        let system = System::start().unwrap();
        let mut tree = Supervisor::one_for_one(&system).name("top");
        let bad = stage
            .spec("a b")
            .capacity(0)
            .stop_timeout(Duration::MAX)
            .backoff(Backoff::exponential(Duration::ZERO, HOUR));
        let Err(AddError::Invalid(faults)) = tree.child(bad) else { panic!("added") };
        assert_eq!(faults.faults().count(), 4, "{faults}");
        tree.child(stage.spec("a")).unwrap();
        let Err(AddError::NameTaken(name)) = tree.child(stage.spec("a")) else { panic!("added") };
        assert_eq!(name.as_str(), "top/a");
        tree.supervisor(one_for_one("below")).unwrap();
        assert!(matches!(tree.supervisor(one_for_one("below")), Err(AddError::NameTaken(_))));
        let bad = one_for_one("x").intensity(Intensity::new(1, Duration::ZERO)).name("y\n");
        let Err(AddError::Invalid(faults)) = tree.supervisor(bad) else { panic!("added") };
        assert_eq!(faults.faults().count(), 2, "{faults}");
        let Err(StartError::Invalid(error)) = tree.name("late").start().await else { panic!("started") };
        assert_eq!(error.to_string(), "the name late comes after the first child");
        assert!(stage.log.lines().is_empty(), "nothing was started");
        assert!(system.names_of_actors().is_empty());
    });
}

/// G14
#[test]
fn a_nested_supervisor_counts_as_up_when_its_children_are_and_stops_with_them() {
    every::runtime(|| async {
        let stage = Stage::new();
        let mut tree = one_for_one("top");
        tree.child(stage.spec("a")).unwrap();
        let mut below = one_for_one("below");
        below.child(stage.spec("b")).unwrap();
        below.child(stage.spec("c")).unwrap();
        let below = tree.supervisor(below).unwrap();
        tree.child(stage.spec("d")).unwrap();
        let handle = tree.start().await.unwrap();
        assert_eq!(stage.log.take(), ["a up", "b up", "c up", "d up"]);
        assert_eq!(names(&handle).await, ["a", "below", "d"]);
        assert_eq!(names(&below).await, ["b", "c"]);
        handle.stop().await;
        assert_eq!(stage.log.take(), ["d down", "c down", "b down", "a down"]);
        assert!(matches!(below.ended().await.exit, Exit::Stopped));
    });
}

/// G14
#[test]
fn a_supervisor_that_gives_up_is_a_failed_child_of_the_one_above() {
    every::runtime(|| async {
        let stage = Stage::new();
        let mut tree = one_for_one("top").intensity(Intensity::new(2, HOUR));
        let mut below = one_for_one("below").intensity(Intensity::new(1, HOUR));
        let a = below.child(stage.spec("a")).unwrap();
        let b = below.child(stage.spec("b").restart(Restart::OnFailure)).unwrap();
        let below = tree.supervisor(below).unwrap();
        let c = tree.child(stage.spec("c")).unwrap();
        let handle = tree.start().await.unwrap();
        b.send(Tell::Leave).await.unwrap();
        b.ended().await;
        // Two failures make the lower one give up; the upper one allows that twice.
        for round in 0..2 {
            for n in 1..=2 {
                a.send(Tell::Note(round)).await.unwrap();
                a.send(Tell::Fail).await.unwrap();
                assert_eq!(which(&a).await, 2 * round + n + 1);
            }
            assert_eq!(which(&b).await, round + 2, "the whole subtree comes back");
        }
        assert_eq!(which(&c).await, 1, "and nobody else");
        assert_eq!(handle.children().await[0].restarts, 2);
        a.send(Tell::Fail).await.unwrap();
        a.send(Tell::Fail).await.unwrap();
        let ended = handle.ended().await;
        let top = ended.escalated().unwrap();
        assert_eq!((top.supervisor.as_str(), top.child.as_str()), ("top", "below"));
        let Exit::Failed(fault) = &top.exit else { panic!("{top}") };
        let low: &Escalated = fault.source().unwrap().downcast_ref().unwrap();
        assert_eq!((low.supervisor.as_str(), low.child.as_str()), ("below", "a"));
        assert!(matches!(low.reason, Reason::TooManyRestarts(Intensity { restarts: 1, .. })));
        assert_eq!(below.ended().await.escalated().unwrap().child.as_str(), "a");
        assert!(stage.alive().is_empty());
        stage.assert_no_overlap();
    });
}

/// G14
#[test]
fn a_subtree_that_is_restarted_keeps_its_mailboxes_and_those_added_later() {
    every::runtime(|| async {
        let stage = Stage::new();
        let mut tree = Supervisor::one_for_all(&System::start().unwrap())
            .name("top")
            .intensity(Intensity::new(100, Duration::from_secs(1)));
        let a = tree.child(stage.spec("a")).unwrap();
        let mut below = one_for_one("below");
        let b = below.child(stage.spec("b")).unwrap();
        let once = below.child(stage.spec("once").restart(Restart::Never)).unwrap();
        let below = tree.supervisor(below).unwrap();
        let handle = tree.start().await.unwrap();
        let c = below.add(stage.spec("c")).await.unwrap();
        let open = [hold(&b).await, hold(&c).await];
        b.send(Tell::Note(1)).await.unwrap();
        c.send(Tell::Note(2)).await.unwrap();
        stage.log.take();
        a.send(Tell::Fail).await.unwrap();
        drop(open);
        assert_eq!((which(&a).await, which(&b).await, which(&c).await), (2, 2, 2));
        once.ended().await;
        assert_eq!(names(&below).await, ["b", "c"], "what must never run again is gone");
        let log = stage.log.take();
        let mut notes: Vec<&String> = log.iter().filter(|line| *line == "b 1" || *line == "c 2").collect();
        notes.sort();
        assert_eq!(notes, ["b 1", "c 2"], "handled once, before or after: {log:?}");
        assert_eq!(handle.stop().await.unhandled, 0);
        stage.assert_no_overlap();
    });
}

/// G14
#[test]
fn stopping_a_nested_supervisor_by_its_handle_is_a_normal_end_of_a_child() {
    every::runtime(|| async {
        for restart in [Restart::Always, Restart::OnFailure, Restart::Never] {
            let stage = Stage::new();
            let mut tree = one_for_one("top");
            let mut below = one_for_one("below").restart(restart);
            let a = below.child(stage.spec("a")).unwrap();
            let below = tree.supervisor(below).unwrap();
            let handle = tree.start().await.unwrap();
            a.send(Tell::Note(1)).await.unwrap();
            let ended = below.stop().await;
            assert!(matches!(ended.exit, Exit::Stopped) && ended.unhandled == 0, "{ended:?}");
            match restart {
                Restart::Always => {
                    assert_eq!(which(&a).await, 2, "it is back");
                    assert_eq!(handle.children().await[0].restarts, 1);
                }
                Restart::OnFailure => {
                    assert!(a.ended().await.unhandled == 0 && a.is_closed());
                    assert_eq!(handle.children().await[0].state, ChildState::Done);
                    assert!(matches!(below.add(stage.spec("b")).await, Err(AddError::Closed)));
                    assert!(below.children().await.is_empty());
                    assert!(matches!(below.stop().await.exit, Exit::Stopped));
                }
                Restart::Never => {
                    below.ended().await;
                    assert!(handle.children().await.is_empty());
                }
            }
            handle.stop().await;
            assert_eq!(stage.log.take()[1], "a 1");
        }
    });
}

/// G14
#[test]
fn children_are_added_and_removed_while_it_runs() {
    every::runtime(|| async {
        let stage = Stage::new();
        let handle = one_for_one("top").start().await.unwrap();
        let a = handle.add(stage.spec("a")).await.unwrap();
        let b = handle.add(stage.spec("b")).await.unwrap();
        assert_eq!(stage.log.take(), ["a up", "b up"]);
        assert!(matches!(handle.add(stage.spec("a")).await, Err(AddError::NameTaken(_))));
        let mut below = one_for_one("below");
        let c = below.child(stage.spec("c")).unwrap();
        handle.add_supervisor(below).await.unwrap();
        assert!(matches!(handle.add_supervisor(one_for_one("a")).await, Err(AddError::NameTaken(_))));
        assert_eq!(which(&c).await, 1);

        let open = hold(&a).await;
        a.send(Tell::Note(1)).await.unwrap();
        let removal = handle.remove("a");
        drop(open);
        let ended = removal.await.unwrap();
        assert!(matches!(ended.exit, Exit::Stopped) && ended.unhandled == 0, "{ended:?}");
        assert!(a.is_closed());
        assert_eq!(handle.remove("a").await.unwrap_err(), RemoveError::NotFound);
        assert!(matches!(handle.remove("below").await.unwrap().exit, Exit::Stopped));
        assert!(c.is_closed());
        assert_eq!(names(&handle).await, ["b"]);
        crash(&b).await;

        let again = handle.add(stage.spec("a")).await.unwrap();
        assert_eq!(which(&again).await, 1, "its name is free again");
        let ended = handle.stop().await;
        assert_eq!(ended.unhandled, 0);
        assert!(matches!(handle.add(stage.spec("z")).await, Err(AddError::Closed)));
        assert_eq!(handle.remove("a").await.unwrap_err(), RemoveError::Closed);
        assert_eq!(
            stage.log.take(),
            ["c up", "a 1", "a down", "c down", "b down", "b up", "a up", "a down", "b down"]
        );
        stage.assert_no_overlap();
    });
}

/// G14
#[test]
fn a_child_that_is_added_and_fails_to_start_is_the_adders_problem_alone() {
    every::runtime(|| async {
        let stage = Stage::new();
        let handle = one_for_one("top").start().await.unwrap();
        let a = handle.add(stage.spec("a")).await.unwrap();
        let bad = stage.spec_with("b", |mut unit| {
            unit.start_fails = true;
            unit
        });
        let Err(AddError::StartFailed(Exit::Failed(fault))) = handle.add(bad).await else { panic!("added") };
        assert_eq!(fault.to_string(), "not today");
        let panics = ChildSpec::new("c", || -> Unit { panic!("no state today") });
        assert!(matches!(handle.add(panics).await, Err(AddError::StartFailed(Exit::Panicked(_)))));
        let mut below = one_for_one("below");
        let worse = stage.spec_with("d", |mut unit| {
            unit.start_fails = true;
            unit
        });
        below.child(worse).unwrap();
        assert!(matches!(handle.add_supervisor(below).await, Err(AddError::StartFailed(Exit::Failed(_)))));
        assert_eq!(names(&handle).await, ["a"]);
        assert_eq!(which(&a).await, 1);
        handle.stop().await;
    });
}

#[test]
fn a_tree_goes_on_when_its_handles_are_dropped() {
    every::runtime(|| async {
        let stage = Stage::new();
        let mut tree = one_for_one("top");
        let a = tree.child(stage.spec("a")).unwrap();
        drop(tree.start().await.unwrap());
        crash(&a).await;
        crash(&a).await;
        assert_eq!(which(&a).await, 3);
    });
}

#[test]
fn a_tree_that_is_never_started_closes_its_addresses() {
    every::runtime(|| async {
        let stage = Stage::new();
        let mut tree = one_for_one("top");
        let a = tree.child(stage.spec("a")).unwrap();
        let mut below = one_for_one("below");
        let b = below.child(stage.spec("b")).unwrap();
        let below = tree.supervisor(below).unwrap();
        let handle = tree.handle();
        a.send(Tell::Note(1)).await.unwrap();
        drop(tree);
        assert!(matches!(handle.ended().await.exit, Exit::Killed));
        assert!(matches!(below.ended().await.exit, Exit::Killed));
        assert_eq!((a.ended().await.unhandled, b.ended().await.unhandled), (1, 0));
        assert!(stage.log.lines().is_empty());
    });
}

#[test]
fn a_supervisor_without_children_starts_and_stops() {
    every::runtime(|| async {
        for strategy in [Strategy::OneForOne, Strategy::RestForOne, Strategy::OneForAll] {
            let handle = Supervisor::new(&System::start().unwrap(), strategy).start().await.unwrap();
            assert!(handle.name().as_str().starts_with("supervisor-"));
            assert!(matches!(handle.stop().await.exit, Exit::Stopped));
            assert!(matches!(handle.stop().await.exit, Exit::Stopped), "and says so again");
        }
    });
}

/// A child may add siblings, through the handle that its supervisor has before it starts.
#[test]
fn a_child_can_add_its_siblings() {
    every::runtime(|| async {
        let stage = Stage::new();
        let mut tree = one_for_one("top");
        let (handle, helpers) = (tree.handle(), stage.clone());
        let lead = stage.spec_with("lead", move |unit| {
            let (handle, helpers) = (handle.clone(), helpers.clone());
            unit.started(move || {
                // Not awaited here: the sibling's turn to start comes when this one is up.
                drop(every::spawn("adder", async move {
                    handle.add(helpers.spec("helper")).await.unwrap();
                }));
                nothing()
            })
        });
        tree.child(lead).unwrap();
        let handle = tree.start().await.unwrap();
        while names(&handle).await.len() < 2 {}
        handle.stop().await;
        assert_eq!(stage.log.lines().len(), 4);
    });
}
