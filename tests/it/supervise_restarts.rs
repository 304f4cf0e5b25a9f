//! Does a supervisor restart the right children, in the right order, and keep their messages?

use callboard::actor::{Address, Exit, System};
use callboard::mailbox::TrySendError;
use callboard::supervise::{ChildState, Intensity, Restart, Strategy, Supervisor, SupervisorHandle};
use std::time::Duration;

use crate::every;
use crate::supervise_probe::{Stage, Tell, crash, hold, which};

fn supervisor(strategy: Strategy) -> Supervisor {
    Supervisor::new(&System::start().unwrap(), strategy)
        .name("top")
        .intensity(Intensity::new(100, Duration::from_secs(1)))
}

/// A supervisor with the children a, b and c, all up, and an empty log.
async fn trio(strategy: Strategy, stage: &Stage) -> (SupervisorHandle, [Address<Tell>; 3]) {
    let mut tree = supervisor(strategy);
    let children = ["a", "b", "c"].map(|name| tree.child(stage.spec(name)).unwrap());
    let handle = tree.start().await.unwrap();
    assert_eq!(stage.log.take(), ["a up", "b up", "c up"], "in the order in which they were added");
    (handle, children)
}

async fn states(handle: &SupervisorHandle) -> Vec<(String, ChildState, u64)> {
    let children = handle.children().await;
    children.iter().map(|child| (child.name.to_string(), child.state, child.restarts)).collect()
}

/// G14
#[test]
fn each_strategy_restarts_the_right_children_in_the_right_order() {
    every::runtime(|| async {
        let cases: [(Strategy, &[&str]); 3] = [
            (Strategy::OneForOne, &["b down", "b up"]),
            (Strategy::RestForOne, &["b down", "c down", "b up", "c up"]),
            (Strategy::OneForAll, &["b down", "c down", "a down", "a up", "b up", "c up"]),
        ];
        for (strategy, log) in cases {
            let stage = Stage::new();
            let (handle, [a, b, c]) = trio(strategy, &stage).await;
            crash(&b).await;
            which(&c).await;
            which(&a).await;
            assert_eq!(stage.log.take(), log, "{strategy:?}");
            let restarts: Vec<u64> = handle.children().await.iter().map(|child| child.restarts).collect();
            let expected = match strategy {
                Strategy::OneForOne => [0, 1, 0],
                Strategy::RestForOne => [0, 1, 1],
                Strategy::OneForAll => [1, 1, 1],
            };
            assert_eq!(restarts, expected, "{strategy:?}");
            let ended = handle.stop().await;
            assert!(matches!(ended.exit, Exit::Stopped) && ended.stuck.is_empty(), "{ended:?}");
            assert_eq!(stage.log.take(), ["c down", "b down", "a down"], "in reverse order");
            stage.assert_no_overlap();
        }
    });
}

/// G14, G19
#[test]
fn what_waits_in_a_mailbox_survives_every_restart() {
    every::runtime(|| async {
        for strategy in [Strategy::OneForOne, Strategy::RestForOne, Strategy::OneForAll] {
            let stage = Stage::new();
            let mut tree = supervisor(strategy);
            let children = ["a", "b", "c"].map(|name| tree.child(stage.spec(name).capacity(256)).unwrap());
            for child in &children {
                child.send(Tell::Note(0)).await.unwrap();
            }
            let handle = tree.start().await.unwrap();
            for n in 1..=30 {
                for (k, child) in children.iter().enumerate() {
                    child.send(Tell::Note(n)).await.unwrap();
                    if n as usize % 3 == k && n % 5 == 0 {
                        child.send(if n % 2 == 0 { Tell::Fail } else { Tell::Panic }).await.unwrap();
                    }
                }
            }
            for child in &children {
                which(child).await;
            }
            let ended = handle.stop().await;
            assert_eq!(ended.unhandled, 0, "{strategy:?}");
            for name in ["a", "b", "c"] {
                let notes: Vec<u32> = stage
                    .log
                    .lines()
                    .iter()
                    .filter_map(|line| line.strip_prefix(name)?.trim().parse().ok())
                    .collect();
                assert_eq!(notes, (0..=30).collect::<Vec<_>>(), "{strategy:?}, {name}");
            }
            stage.assert_no_overlap();
        }
    });
}

#[test]
fn a_mailbox_that_is_not_to_be_kept_is_emptied_and_counted() {
    every::runtime(|| async {
        let stage = Stage::new();
        let mut tree = supervisor(Strategy::OneForOne);
        let a = tree.child(stage.spec("a").keep_mailbox(false)).unwrap();
        let handle = tree.start().await.unwrap();
        let open = hold(&a).await;
        a.send(Tell::Fail).await.unwrap();
        a.send(Tell::Note(1)).await.unwrap();
        a.send(Tell::Note(2)).await.unwrap();
        drop(open);
        while handle.children().await[0].restarts == 0 {}
        a.send(Tell::Note(3)).await.unwrap();
        which(&a).await;
        let ended = handle.stop().await;
        assert_eq!(ended.unhandled, 2);
        assert_eq!(stage.log.take(), ["a up", "a down", "a up", "a 3", "a down"]);
    });
}

/// G15
#[test]
fn a_panic_anywhere_is_a_failure_and_the_child_comes_back() {
    every::runtime(|| async {
        for place in 0..5 {
            let stage = Stage::new();
            let mut tree = supervisor(Strategy::OneForOne);
            let spec = stage.spec_with("a", move |mut unit| {
                let first = unit.incarnation == 1;
                // A panic before the first start is done would fail the start: the second is hit.
                let second = unit.incarnation == 2;
                match place {
                    0 if second => {
                        drop(unit);
                        panic!("the factory panics");
                    }
                    1 => unit.start_panics = second,
                    2 => unit.stopping_panics = first,
                    3 => unit.drop_panics = first,
                    _ => {}
                }
                unit
            });
            let a = tree.child(spec).unwrap();
            let handle = tree.start().await.unwrap();
            a.send(if place == 4 { Tell::Panic } else { Tell::Fail }).await.unwrap();
            assert_eq!(which(&a).await, if place < 2 { 3 } else { 2 }, "{place}");
            assert_eq!(handle.stop().await.unhandled, 0);
            assert!(stage.alive().is_empty());
            stage.assert_no_overlap();
        }
    });
}

/// G14
#[test]
fn a_child_that_ended_well_is_restarted_as_its_rule_says() {
    every::runtime(|| async {
        let stage = Stage::new();
        let mut tree = supervisor(Strategy::OneForOne);
        let a = tree.child(stage.spec("a").restart(Restart::Always)).unwrap();
        let b = tree.child(stage.spec("b").restart(Restart::OnFailure)).unwrap();
        let c = tree.child(stage.spec("c").restart(Restart::Never)).unwrap();
        let handle = tree.start().await.unwrap();
        crash(&b).await;
        for child in [&a, &b, &c] {
            child.send(Tell::Leave).await.unwrap();
        }
        assert_eq!(which(&a).await, 2);
        assert!(matches!(b.ended().await.exit, Exit::Stopped));
        assert!(matches!(c.ended().await.exit, Exit::Stopped));
        assert!(matches!(b.try_send(Tell::Note(1)), Err(TrySendError::Closed(Tell::Note(1)))));
        assert!(b.stop_now().await.is_empty());
        assert!(b.downgrade().upgrade().is_none());
        let (running, done) = (ChildState::Running, ChildState::Done);
        assert_eq!(states(&handle).await, [("a".to_owned(), running, 1), ("b".to_owned(), done, 1)]);
        handle.stop().await;
    });
}

/// G14
#[test]
fn a_child_that_ended_well_comes_back_with_its_siblings_at_the_same_address() {
    every::runtime(|| async {
        let stage = Stage::new();
        let mut tree = supervisor(Strategy::OneForAll);
        let a = tree.child(stage.spec("a")).unwrap();
        let b = tree.child(stage.spec("b").restart(Restart::OnFailure)).unwrap();
        let c = tree.child(stage.spec("c").restart(Restart::Never)).unwrap();
        let handle = tree.start().await.unwrap();
        b.send(Tell::Leave).await.unwrap();
        b.ended().await;
        crash(&a).await;
        assert_eq!(handle.children().await.len(), 2, "c was stopped, and must never be restarted");
        assert_eq!(which(&b).await, 2);
        assert!(c.ended().await.unhandled == 0 && c.is_closed());
        handle.stop().await;
        assert!(a.is_closed() && b.is_closed());
    });
}

/// G14
#[test]
fn a_stop_through_an_address_ends_an_incarnation_and_the_rule_says_what_follows() {
    every::runtime(|| async {
        let stage = Stage::new();
        let mut tree = supervisor(Strategy::OneForOne);
        let a = tree.child(stage.spec("a")).unwrap();
        let handle = tree.start().await.unwrap();
        for n in 1..=20 {
            let open = hold(&a).await;
            a.send(Tell::Note(n)).await.unwrap();
            match n % 3 {
                0 => {
                    let ending = a.stop();
                    drop(open);
                    let ended = ending.await;
                    assert!(matches!(ended.exit, Exit::Stopped), "{ended:?}");
                    assert_eq!(stage.log.lines()[..3], ["a up", &format!("a {n}"), "a down"]);
                }
                1 => {
                    let rest = a.stop_now();
                    drop(open);
                    assert_eq!(rest.await.len(), 1);
                }
                _ => {
                    let ended = a.kill().await;
                    assert!(matches!(ended.exit, Exit::Killed), "{ended:?}");
                    assert_eq!(ended.unhandled, 0, "the next incarnation handles it");
                }
            }
            a.send(Tell::Note(0)).await.unwrap();
            assert_eq!(which(&a).await, n + 1, "it is up again, and the address is open");
            stage.log.take();
            stage.log.add("a up");
        }
        handle.stop().await;
        stage.assert_no_overlap();
    });
}

#[test]
fn a_child_lives_though_nobody_has_its_address() {
    every::runtime(|| async {
        let stage = Stage::new();
        let system = System::start().unwrap();
        let mut tree = Supervisor::one_for_one(&system).name("top");
        drop(tree.child(stage.spec("a")).unwrap());
        let handle = tree.start().await.unwrap();
        let a = system.find::<Tell>("top/a").unwrap();
        crash(&a).await;
        drop(a);
        assert_eq!(which(&system.find("top/a").unwrap()).await, 2);
        handle.stop().await;
        assert!(system.find::<Tell>("top/a").is_none());
        assert!(system.names_of_actors().is_empty());
    });
}
