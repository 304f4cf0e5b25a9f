//! Is whoever watches an actor told of its end, once, and before everything else?

use callboard::actor::{Address, Exit, System};

use crate::actor_probe::{Do, Log, Probe, caught_up, hold, with};
use crate::every;

/// Lets `watcher` watch `watched`, and write down how it ended.
async fn watch(watcher: &Address<Do>, watched: &Address<Do>, log: &Log) {
    let (watched, log) = (watched.clone(), log.clone());
    with(watcher, move |context| {
        context.watch(&watched, move |ended| {
            Do::With(Box::new(move |_| log.add(format_args!("{} {}", ended.name, ended.exit))))
        });
    })
    .await;
}

fn three(log: &Log) -> (System, Address<Do>, Address<Do>, Address<Do>) {
    let system = System::start().unwrap();
    let named = |name| system.actor(name).unwrap().spawn(Probe::new(&Log::default())).unwrap();
    let watcher = system.spawn(Probe::new(log));
    (system.clone(), watcher, named("one"), named("two"))
}

#[test]
fn an_end_is_told_with_its_reason_before_all_messages() {
    every::runtime(|| async {
        let log = Log::default();
        let (_system, watcher, one, two) = three(&log);
        watch(&watcher, &one, &log).await;
        watch(&watcher, &two, &log).await;
        let open = hold(&watcher).await;
        for n in 1..=3 {
            watcher.send(Do::Note(n)).await.unwrap();
        }
        one.send(Do::Panic("ouch")).await.unwrap();
        one.ended().await;
        two.stop().await;
        drop(open);
        caught_up(&watcher).await;
        log.is(["started", "one panicked: ouch", "two stopped", "1", "2", "3"]);
    });
}

#[test]
fn watching_an_actor_that_has_ended_tells_at_once() {
    every::runtime(|| async {
        let log = Log::default();
        let (_system, watcher, one, _two) = three(&log);
        one.stop().await;
        watch(&watcher, &one, &log).await;
        caught_up(&watcher).await;
        log.is(["started", "one stopped"]);
    });
}

#[test]
fn a_notice_needs_no_place_and_is_not_counted() {
    every::runtime(|| async {
        let log = Log::default();
        let system = System::start().unwrap();
        let watcher = system.actor("watcher").unwrap().capacity(1).spawn(Probe::new(&log)).unwrap();
        let one = system.spawn(Probe::new(&Log::default()));
        watch(&watcher, &one, &log).await;
        let open = hold(&watcher).await;
        one.stop().await;
        let ended = watcher.kill().await;
        assert_eq!(ended.unhandled, 0, "a notice was counted among the messages that somebody sent");
        drop(open);
    });
}

#[test]
fn a_watch_whose_closure_panics_harms_neither_side() {
    every::runtime(|| async {
        let log = Log::default();
        let (_system, watcher, one, two) = three(&log);
        let watched = one.clone();
        with(&watcher, move |context| context.watch(&watched, |_| panic!("in the watch"))).await;
        watch(&watcher, &one, &log).await;
        watch(&watcher, &two, &log).await;
        one.stop().await;
        two.stop().await;
        caught_up(&watcher).await;
        log.is(["started", "one stopped", "two stopped"]);
    });
}

#[test]
fn a_watcher_that_has_ended_is_nobody_to_tell() {
    every::runtime(|| async {
        let log = Log::default();
        let (_system, watcher, one, _two) = three(&log);
        watch(&watcher, &one, &log).await;
        watcher.stop().await;
        assert!(matches!(one.stop().await.exit, Exit::Stopped));
    });
}

#[test]
fn actors_may_watch_each_other_and_themselves() {
    every::runtime(|| async {
        let log = Log::default();
        let (_system, watcher, one, _two) = three(&log);
        watch(&watcher, &one, &log).await;
        watch(&one, &watcher, &log).await;
        watch(&watcher, &watcher, &log).await;
        one.stop().await;
        caught_up(&watcher).await;
        watcher.stop().await;
        log.is(["started", "one stopped", "stopping: stopped", "dropped"]);
    });
}

#[test]
fn everybody_who_waits_for_an_end_is_told_the_same() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn();
        let open = hold(&probe).await;
        probe.send(Do::Note(1)).await.unwrap();
        // Most of them give up; the others are told in spite of the sweeps.
        let mut kept = Vec::new();
        for n in 0..1000 {
            let ending = probe.ended();
            if n % 100 == 0 {
                kept.push(ending);
            }
        }
        drop(probe.kill());
        for ending in kept {
            let ended = ending.await;
            assert!(matches!(ended.exit, Exit::Killed));
            assert_eq!(ended.unhandled, 1);
        }
        drop(open);
    });
}
