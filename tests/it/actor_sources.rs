//! Do timers fire when they are due, and streams flow at the actor's pace?

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use callboard::actor::{Context, Exit, SourceError, System, TimerId};
use callboard::mailbox::BUDGET;
use callboard::sim::Sim;
use futures::channel::oneshot;
use futures::{FutureExt as _, StreamExt as _, stream};

use crate::actor_probe::{Do, Log, Probe, caught_up, hold, with};
use crate::every;

const MS: Duration = Duration::from_millis(1);

/// A message that writes the virtual time, in milliseconds, behind a name.
fn stamp(sim: &Sim, log: &Log, name: &'static str) -> Do {
    let (sim, log) = (sim.clone(), log.clone());
    Do::With(Box::new(move |_| log.add(format_args!("{name} {}", sim.now().as_nanos() / 1_000_000))))
}

/// A message that keeps the actor busy.
fn busy(sim: &Sim, time: Duration) -> Do {
    let sleep = sim.sleep(time);
    Do::Run(Box::new(move |_| sleep.boxed()))
}

#[test]
fn timers_fire_in_the_order_of_their_moments() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let (a, b, c) = (stamp(&sim, &log, "a"), stamp(&sim, &log, "b"), stamp(&sim, &log, "c"));
        let d = stamp(&sim, &log, "never");
        let (done, end) = oneshot::channel();
        with(&probe, move |context| {
            context.send_after(30 * MS, a).unwrap();
            context.send_after(10 * MS, b).unwrap();
            context.send_after(10 * MS, c).unwrap();
            context.send_after(Duration::MAX, d).unwrap();
            context.send_after(40 * MS, Do::With(Box::new(move |_| done.send(()).unwrap()))).unwrap();
        })
        .await;
        end.await.unwrap();
        log.is(["started", "b 10", "c 10", "a 30"]);
    });
}

#[test]
fn a_timer_of_an_actor_that_is_busy_is_late_and_not_lost() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let (a, b) = (stamp(&sim, &log, "a"), stamp(&sim, &log, "b"));
        with(&probe, move |context| {
            context.send_after(10 * MS, a).unwrap();
            context.send_after(20 * MS, b).unwrap();
        })
        .await;
        probe.send(busy(&sim, 100 * MS)).await.unwrap();
        caught_up(&probe).await;
        caught_up(&probe).await;
        caught_up(&probe).await;
        log.is(["started", "a 100", "b 100"]);
    });
}

#[test]
fn a_repeated_timer_skips_the_ticks_it_missed_and_keeps_its_beat() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let (in_tick, here) = (log.clone(), sim.clone());
        let (done, end) = oneshot::channel();
        let mut done = Some(done);
        let mut ticks = 0;
        with(&probe, move |context| {
            let tick = move || {
                ticks += 1;
                in_tick.add(format_args!("tick {}", here.now().as_nanos() / 1_000_000));
                if ticks == 4 {
                    done.take().unwrap().send(()).unwrap();
                }
                // The first one takes three and a half periods.
                busy(&here, if ticks == 1 { 35 * MS } else { Duration::ZERO })
            };
            context.send_every(10 * MS, tick).unwrap();
        })
        .await;
        end.await.unwrap();
        log.is(["started", "tick 10", "tick 45", "tick 50", "tick 60"]);
    });
}

#[test]
fn a_cancelled_timer_stays_silent() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let (once, every) = with(&probe, |context| {
            let every = context.send_every(5 * MS, || Do::Note(1)).unwrap();
            (context.send_after(10 * MS, Do::Note(2)).unwrap(), every)
        })
        .await;
        sim.sleep(7 * MS).await;
        let cancel = |id: TimerId| with(&probe, move |context| context.cancel_timer(id));
        assert!(cancel(every).await);
        assert!(!cancel(every).await);
        assert!(cancel(once).await);
        sim.sleep(100 * MS).await;
        log.is(["started", "1"]);
        // One that fired is no longer there.
        let id = with(&probe, |context| context.send_after(MS, Do::Note(3)).unwrap()).await;
        sim.sleep(2 * MS).await;
        assert!(!cancel(id).await);
        log.is(["started", "1", "3"]);
    });
}

#[test]
fn timers_need_no_place_in_the_mailbox() {
    every::seed(20, |sim| async move {
        let log = Log::default();
        let probe = Probe::new(&log).spawn_with(1);
        with(&probe, |context| context.send_after(MS, Do::Note(1)).unwrap()).await;
        let open = hold(&probe).await;
        sim.sleep(2 * MS).await;
        drop(open);
        caught_up(&probe).await;
        sim.settle().await;
        log.is(["started", "1"]);
    });
}

#[test]
fn a_period_of_zero_and_too_many_sources_are_refused() {
    every::seed(1, |_| async {
        let probe = Probe::new(&Log::default()).spawn();
        with(&probe, |context| {
            let zero = context.send_every(Duration::ZERO, || Do::Note(1));
            assert_eq!(zero, Err(SourceError::ZeroPeriod));
            for _ in 0..65_536 {
                context.send_after(Duration::MAX, Do::Note(1)).unwrap();
                context.attach(stream::pending::<Do>()).unwrap();
            }
            assert_eq!(context.send_after(MS, Do::Note(1)), Err(SourceError::TooMany));
            assert_eq!(context.send_every(MS, || Do::Note(1)), Err(SourceError::TooMany));
            assert_eq!(context.attach(stream::pending::<Do>()), Err(SourceError::TooMany));
        })
        .await;
    });
}

#[test]
fn the_items_of_streams_are_messages_and_their_end_is_none() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let (done, end) = oneshot::channel();
        let last = stream::once(async move { Do::With(Box::new(move |_| done.send(()).unwrap())) });
        let numbers = stream::iter(1..=300).map(Do::Note).chain(last);
        with(&probe, |context| {
            context.attach(stream::empty::<Do>()).unwrap();
            context.attach(numbers).unwrap();
        })
        .await;
        end.await.unwrap();
        let mut lines = log.take();
        assert_eq!(lines.remove(0), "started");
        assert_eq!(lines, (1..=300).map(|n| n.to_string()).collect::<Vec<_>>());
        caught_up(&probe).await;
        // A second stream, after the first has ended.
        let (done, end) = oneshot::channel();
        let last = stream::once(async move { Do::With(Box::new(move |_| done.send(()).unwrap())) });
        with(&probe, |context| context.attach(last).unwrap()).await;
        end.await.unwrap();
    });
}

#[test]
fn a_stream_is_polled_only_when_the_actor_is_free() {
    every::seed(20, |sim| async move {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let pulled = Arc::new(AtomicU32::new(0));
        let count = pulled.clone();
        let endless = stream::repeat_with(move || {
            let n = count.fetch_add(1, Ordering::SeqCst);
            let (entered, _) = oneshot::channel();
            // Every tenth item holds the actor up for good.
            let (open, until) = oneshot::channel();
            if n == 9 {
                std::mem::forget(open)
            }
            Do::Hold(entered, until)
        });
        with(&probe, |context| context.attach(endless).unwrap()).await;
        sim.settle().await;
        assert_eq!(pulled.load(Ordering::SeqCst), 10);
        assert!(matches!(probe.kill().await.exit, Exit::Killed));
    });
}

/// An endless stream of messages that are counted.
fn endless(handled: &Arc<AtomicU32>) -> impl stream::Stream<Item = Do> + use<> {
    let handled = handled.clone();
    stream::repeat_with(move || count(&handled))
}

/// A message that counts itself when it is handled.
fn count(handled: &Arc<AtomicU32>) -> Do {
    let handled = handled.clone();
    Do::With(Box::new(move |_| {
        handled.fetch_add(1, Ordering::SeqCst);
    }))
}

#[test]
fn mailbox_streams_and_timers_take_turns() {
    every::seed(20, |_| async {
        let probe = Probe::new(&Log::default()).spawn();
        let counts = [0; 4].map(|_| Arc::new(AtomicU32::new(0)));
        let [mail, one, two, ticks] = counts.clone();
        let (one, two) = (endless(&one), endless(&two));
        with(&probe, move |context| {
            context.attach(one).unwrap();
            context.attach(two).unwrap();
            for _ in 0..400 {
                context.send_after(Duration::ZERO, count(&ticks)).unwrap();
            }
        })
        .await;
        for _ in 0..400 {
            probe.send(count(&mail)).await.unwrap();
        }
        caught_up(&probe).await;
        let counts = counts.map(|count| count.load(Ordering::SeqCst));
        // One message of each four is a timer's, and one of each two the mailbox's.
        assert!(counts.iter().all(|count| *count >= 90), "{counts:?}");
    });
}

#[test]
fn an_actor_with_endless_work_lets_others_run() {
    every::seed(20, |_| async {
        let probe = Probe::new(&Log::default()).spawn();
        let handled = Arc::new(AtomicU32::new(0));
        let streamed = endless(&handled);
        let (to_self, count) = (probe.downgrade(), handled.clone());
        with(&probe, move |context| {
            context.attach(streamed).unwrap();
            // Two messages to itself for each that it handles, so that the mailbox is never empty.
            for _ in 0..3 {
                feed(to_self.clone(), count.clone());
            }
        })
        .await;
        // Of two ready tasks the seed picks one. That the actor's comes 40 times in a row is out of reach.
        for _ in 0..200 {
            let before = handled.load(Ordering::SeqCst);
            yield_now().await;
            let after = handled.load(Ordering::SeqCst);
            assert!(after - before <= 40 * BUDGET, "{} messages in a row", after - before);
        }
        probe.kill().await;
    });
}

fn feed(to: callboard::actor::WeakAddress<Do>, count: Arc<AtomicU32>) {
    let Some(address) = to.upgrade() else { return };
    let again: crate::actor_probe::Act = Box::new(move |_: &mut Context<Do>| {
        count.fetch_add(1, Ordering::SeqCst);
        feed(to, count);
    });
    drop(address.try_send(Do::With(again)));
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn neither_timers_nor_streams_keep_an_actor_alive() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn();
        with(&probe, |context| {
            context.attach(stream::repeat_with(|| Do::Note(1))).unwrap();
            context.send_every(MS, || Do::Note(2)).unwrap();
        })
        .await;
        let ended = probe.ended();
        drop(probe);
        assert!(matches!(ended.await.exit, Exit::Abandoned));

        let probe = Probe::new(&Log::default()).spawn();
        with(&probe, |context| context.attach(stream::repeat_with(|| Do::Note(1))).unwrap()).await;
        assert!(matches!(probe.stop().await.exit, Exit::Stopped));
    });
}

#[test]
fn streams_are_dropped_with_their_actor() {
    every::runtime(|| async {
        let probe = System::start().unwrap().spawn(Probe::new(&Log::default()));
        let kept = Arc::new(());
        let weak = Arc::downgrade(&kept);
        let stream = stream::pending::<Do>().inspect(move |_| drop(kept.clone()));
        with(&probe, |context| context.attach(stream).unwrap()).await;
        assert!(weak.upgrade().is_some());
        probe.stop().await;
        assert!(weak.upgrade().is_none());
    });
}
