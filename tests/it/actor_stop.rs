//! Does a stopped actor leave nothing behind: no message unaccounted for, no state alive, nobody waiting?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use callboard::actor::{Context, Ending, Exit, System};
use callboard::mailbox::TrySendError;
use callboard::runtime::{Smol, Tokio};
use callboard::sim::Sim;
use futures::FutureExt as _;
use futures::channel::oneshot;

use crate::actor_probe::{Do, Grenade, Log, Probe, caught_up, hold, with};
use crate::every;

/// G19
#[test]
fn a_graceful_stop_handles_what_was_accepted() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let open = hold(&probe).await;
        for n in 1..=3 {
            probe.send(Do::Note(n)).await.unwrap();
        }
        let stopping = probe.stop();
        drop(open);
        let ended = stopping.await;
        assert!(matches!(ended.exit, Exit::Stopped), "{ended:?}");
        assert_eq!(ended.unhandled, 0);
        log.is(["started", "1", "2", "3", "stopping: stopped", "dropped"]);
    });
}

/// G19
#[test]
fn an_actor_refuses_messages_from_the_moment_it_is_told_to_stop() {
    every::runtime(|| async {
        for stop in 0..3 {
            let probe = Probe::new(&Log::default()).spawn();
            let open = hold(&probe).await;
            match stop {
                0 => drop(probe.stop()),
                1 => drop(probe.stop_now()),
                _ => drop(probe.kill()),
            }
            assert!(probe.is_closed(), "{stop}");
            assert!(matches!(probe.try_send(Do::Note(1)), Err(TrySendError::Closed(Do::Note(1)))), "{stop}");
            assert!(probe.send(Do::Note(1)).await.is_err(), "{stop}");
            drop(open);
            let ended = probe.ended().await;
            assert!(matches!((stop, &ended.exit), (0 | 1, Exit::Stopped) | (2, Exit::Killed)), "{ended:?}");
        }
    });
}

/// G19
#[test]
fn the_end_is_told_after_the_state_was_dropped_and_the_actor_is_out_of_reach() {
    every::runtime(|| async {
        let dropped = Arc::new(AtomicBool::new(false));
        let told = dropped.clone();
        let system = System::start().unwrap();
        let probe = Probe::new(&Log::default()).on_drop(move || told.store(true, Ordering::SeqCst));
        let probe = system.actor("x").unwrap().spawn(probe).unwrap();
        let weak = probe.downgrade();
        probe.stop().await;
        assert!(dropped.load(Ordering::SeqCst));
        assert!(weak.upgrade().is_none());
        assert!(system.find::<Do>("x").is_none());
        // Whoever asks later is told the same.
        assert!(matches!(probe.ended().await.exit, Exit::Stopped));
        assert!(matches!(probe.stop().await.exit, Exit::Stopped));
        assert!(probe.stop_now().await.is_empty());
    });
}

/// G19
#[test]
fn stop_now_hands_back_in_order_what_was_not_handled() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let open = hold(&probe).await;
        for n in 1..=5 {
            probe.send(Do::Note(n)).await.unwrap();
        }
        let rest = probe.stop_now();
        drop(open);
        let rest = rest.await;
        let rest: Vec<_> =
            rest.into_iter().map(|message| if let Do::Note(n) = message { n } else { 0 }).collect();
        assert_eq!(rest, [1, 2, 3, 4, 5]);
        assert_eq!(probe.ended().await.unhandled, 5);
        log.is(["started", "stopping: stopped", "dropped"]);
    });
}

/// G19
#[test]
fn of_several_who_stop_it_now_the_first_that_still_waits_gets_the_messages() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn();
        let open = hold(&probe).await;
        for n in 1..=3 {
            probe.send(Do::Note(n)).await.unwrap();
        }
        let gone = probe.stop_now();
        let (second, third) = (probe.stop_now(), probe.stop_now());
        drop(gone);
        drop(open);
        let (second, third) = futures::future::join(second, third).await;
        assert_eq!((second.len(), third.len()), (3, 0));
    });
}

#[test]
fn a_later_stop_overrides_a_milder_one() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let open = hold(&probe).await;
        probe.send(Do::Note(1)).await.unwrap();
        let (stop, kill) = (probe.stop(), probe.kill());
        let ended = stop.await;
        assert!(matches!(ended.exit, Exit::Killed));
        assert_eq!(ended.unhandled, 1);
        kill.await;
        log.is(["started", "dropped"]);
        drop(open);
    });
}

#[test]
fn a_kill_between_two_messages_is_a_kill_too() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        caught_up(&probe).await;
        assert!(matches!(probe.kill().await.exit, Exit::Killed));
        log.is(["started", "dropped"]);
    });
}

#[test]
fn a_kill_reaches_the_hooks_too() {
    every::runtime(|| async {
        let log = Log::default();
        let (entered, inside) = oneshot::channel();
        let never = move |_: &mut _| async move {
            entered.send(()).unwrap();
            futures::future::pending().await
        };
        let probe = Probe::new(&log).started(|context| never(context).boxed()).spawn();
        inside.await.unwrap();
        probe.send(Do::Note(1)).await.unwrap();
        let ended = probe.kill().await;
        assert!(matches!(ended.exit, Exit::Killed));
        assert_eq!(ended.unhandled, 1);
        log.is(["dropped"]);

        let log = Log::default();
        let (entered, inside) = oneshot::channel();
        let never = move |_: &mut _| async move {
            entered.send(()).unwrap();
            futures::future::pending().await
        };
        let probe = Probe::new(&log).stopping(|context| never(context).boxed()).spawn();
        drop(probe.stop());
        inside.await.unwrap();
        assert!(matches!(probe.kill().await.exit, Exit::Killed));
        log.is(["started", "dropped"]);
    });
}

#[test]
fn a_stop_during_started_waits_for_the_hook_and_is_not_lost() {
    every::runtime(|| async {
        for stop in 0..2 {
            let log = Log::default();
            let (entered, inside) = oneshot::channel();
            let (open, until) = oneshot::channel::<()>();
            let wait = move |_: &mut _| async move {
                entered.send(()).unwrap();
                until.await.unwrap();
            };
            let probe = Probe::new(&log).started(|context| wait(context).boxed()).spawn();
            inside.await.unwrap();
            probe.send(Do::Note(1)).await.unwrap();
            let ending = if stop == 0 {
                probe.stop()
            } else {
                drop(probe.stop_now());
                probe.ended()
            };
            open.send(()).unwrap();
            assert!(matches!(ending.await.exit, Exit::Stopped));
            if stop == 0 {
                log.is(["started", "1", "stopping: stopped", "dropped"]);
            } else {
                log.is(["started", "stopping: stopped", "dropped"]);
            }
        }
    });
}

#[test]
fn an_actor_stops_itself_after_the_backlog_or_after_the_message() {
    every::runtime(|| async {
        for now in [false, true] {
            let log = Log::default();
            let probe = Probe::new(&log).spawn();
            let open = hold(&probe).await;
            let stop = move |context: &mut Context<Do>| {
                if now { context.stop_now() } else { context.stop() }
            };
            probe.send(Do::With(Box::new(stop))).await.unwrap();
            probe.send(Do::Note(1)).await.unwrap();
            drop(open);
            let ended = probe.ended().await;
            assert!(matches!(ended.exit, Exit::Stopped));
            assert_eq!(ended.unhandled, usize::from(now));
            assert!(probe.is_closed());
        }
    });
}

#[test]
fn an_actor_may_stop_itself_in_started() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).started(|context| {
            context.stop();
            async {}.boxed()
        });
        assert!(matches!(probe.spawn().ended().await.exit, Exit::Stopped));
        log.is(["started", "stopping: stopped", "dropped"]);
    });
}

#[test]
fn when_the_last_address_is_gone_the_backlog_is_handled() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let ended = probe.ended();
        let open = hold(&probe).await;
        probe.send(Do::Note(1)).await.unwrap();
        let weak = probe.downgrade();
        drop(weak.upgrade().unwrap());
        drop(probe);
        assert!(weak.upgrade().is_none(), "a weak address brought an abandoned actor back");
        drop(open);
        let ended = ended.await;
        assert!(matches!(ended.exit, Exit::Abandoned));
        assert_eq!(ended.unhandled, 0);
        log.is(["started", "1", "stopping: abandoned: its last address was dropped", "dropped"]);
    });
}

/// G15
#[test]
fn messages_whose_drop_panics_keep_nobody_waiting() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let probe = system.actor("x").unwrap().spawn(Probe::new(&Log::default())).unwrap();
        let open = hold(&probe).await;
        for _ in 0..3 {
            probe.send(Do::Carry(Box::new(Grenade))).await.unwrap();
        }
        let ending = probe.kill();
        let ended = ending.await;
        assert_eq!(ended.unhandled, 3);
        assert!(system.find::<Do>("x").is_none());
        drop(open);
    });
}

/// G19
#[test]
fn a_runtime_that_is_dropped_ends_its_actors() {
    // On each runtime: an actor in a handler and one that never ran; then the runtime goes.
    let spawn = |system: &System, log: &Log| {
        let probe = system.spawn(Probe::new(log));
        (probe.ended(), probe)
    };
    let check = |log: &Log, endings: Vec<Ending>| {
        let actors = endings.len();
        for ended in smol::block_on(futures::future::join_all(endings)) {
            assert!(matches!(ended.exit, Exit::Killed), "{ended:?}");
        }
        assert_eq!(log.take().iter().filter(|line| *line == "dropped").count(), actors);
    };

    let log = Log::default();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let system = System::builder().runtime(Tokio::new(tokio.handle().clone())).start().unwrap();
    let (busy, probe) = spawn(&system, &log);
    let _open = tokio.block_on(hold(&probe));
    let (fresh, _probe) = spawn(&system, &log);
    drop(tokio);
    check(&log, vec![busy, fresh]);

    let log = Log::default();
    let executor = Arc::new(smol::Executor::new());
    let system = System::builder().runtime(Smol::with(executor.clone())).start().unwrap();
    let (busy, probe) = spawn(&system, &log);
    let _open = smol::block_on(executor.run(hold(&probe)));
    let (fresh, _probe) = spawn(&system, &log);
    drop(executor);
    check(&log, vec![busy, fresh]);
    let (late, _probe) = spawn(&system, &log);
    check(&log, vec![late]);

    let log = Log::default();
    let sim = Sim::new(1);
    let system = System::builder().runtime(sim.clone()).start().unwrap();
    let (busy, probe) = spawn(&system, &log);
    let (kept, open) = std::sync::mpsc::sync_channel(1);
    sim.block_on(async move { kept.send(hold(&probe).await).unwrap() });
    check(&log, vec![busy]);
    drop(open);
}

/// G19
#[test]
fn an_actor_that_never_ran_is_dropped_before_its_end_is_told() {
    let executor = Arc::new(smol::Executor::new());
    let system = System::builder().runtime(Smol::with(executor.clone())).start().unwrap();
    let log = Log::default();
    let watcher_log = log.clone();
    let probe = system.spawn(Probe::new(&log));
    // The watcher lives on another runtime, and its closure runs where the end is told.
    let sim = Sim::new(1);
    let other = System::builder().runtime(sim.clone()).start().unwrap();
    let watcher = other.spawn(Probe::new(&Log::default()));
    let watched = probe.clone();
    sim.block_on(async move {
        with(&watcher, move |context| {
            context.watch(&watched, move |_| {
                watcher_log.add("told");
                Do::Note(1)
            });
        })
        .await;
        drop((system, probe));
        drop(executor);
    });
    log.is(["dropped", "told"]);
}

#[test]
fn a_stop_overtakes_the_messages_of_a_burst() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let open = hold(&probe).await;
        let stop = probe.clone();
        probe.send(Do::With(Box::new(move |_| drop(stop.stop_now())))).await.unwrap();
        for n in 1..=10 {
            probe.send(Do::Note(n)).await.unwrap();
        }
        drop(open);
        assert_eq!(probe.ended().await.unhandled, 10);
        log.is(["started", "stopping: stopped", "dropped"]);
    });
}

#[test]
fn senders_in_line_get_their_messages_back_when_the_actor_ends() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn_with(1);
        let _open = hold(&probe).await;
        let sender = probe.clone();
        let sends = every::spawn("sender", async move {
            futures::future::join(sender.send(Do::Note(1)), sender.send(Do::Note(2))).await
        });
        probe.kill().await;
        let (first, second) = sends.await;
        assert!(matches!(first.unwrap_err().into_inner(), Do::Note(1)));
        assert!(matches!(second.unwrap_err().into_inner(), Do::Note(2)));
    });
}
