//! Does the simulator tell who is stuck, keep time, and survive what tasks do to it?

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use futures::future::{join, pending, poll_fn};

use super::*;
use crate::base::Moment;
use crate::runtime::Runtime as _;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_deadlock_report_names_who_waits_and_not_who_has_finished() {
    let sim = Sim::new(1);
    let (held, never) = async_channel::bounded::<()>(1);
    sim.spawn("reader", async move { _ = never.recv().await });
    sim.spawn("passer-by", async {});
    sim.spawn("culprit", async { panic!("lost the key") });
    let stuck = sim.try_block_on(pending::<()>()).unwrap_err();
    assert_eq!(stuck.why, Why::Deadlock);
    assert_eq!(stuck.waiting, ["reader", "main"]);
    assert_eq!(stuck.ready, [""; 0]);
    assert_eq!(stuck.panics[0].task, "culprit");
    assert_eq!(stuck.panics[0].text, "lost the key");
    assert!(stuck.to_string().contains("culprit"), "{stuck}");
    drop(held);
}

#[test]
#[should_panic(expected = "is in a deadlock: no task can run and no timer is set\n  seed 23, ")]
fn block_on_panics_with_the_report() {
    Sim::new(23).block_on(pending::<()>());
}

#[test]
fn a_dropped_or_reset_timer_does_not_hide_a_deadlock() {
    let sim = Sim::new(2);
    let inside = sim.clone();
    let stuck = sim.try_block_on(async move {
        let mut dropped = Box::pin(inside.sleep(ms(10)));
        assert!(dropped.as_mut().now_or_never().is_none());
        drop(dropped);
        let mut timer = inside.timer(Moment::ZERO + ms(20));
        assert!(poll_fn(|cx| timer.as_mut().poll_expired(cx)).now_or_never().is_none());
        timer.as_mut().reset(Moment::MAX);
        poll_fn(|cx| timer.as_mut().poll_expired(cx)).await;
    });
    let stuck = stuck.unwrap_err();
    assert_eq!((stuck.why, stuck.at), (Why::Deadlock, Moment::ZERO));
}

#[test]
fn a_task_that_spins_runs_into_the_limit_of_steps() {
    let sim = Sim::new(3).max_steps(500);
    sim.spawn("spinner", async {
        loop {
            yield_now().await;
        }
    });
    let stuck = sim.try_block_on(pending::<()>()).unwrap_err();
    assert_eq!((stuck.why, stuck.steps), (Why::TooManySteps, 500));
    assert_eq!((stuck.ready, stuck.waiting), (vec!["spinner".to_owned()], vec!["main".to_owned()]));
}

#[test]
fn a_task_that_ticks_for_ever_runs_into_the_limit_of_time() {
    let sim = Sim::new(3).max_time(Duration::from_secs(60));
    let inside = sim.clone();
    sim.spawn("ticker", async move {
        loop {
            inside.sleep(Duration::from_secs(7)).await;
        }
    });
    let stuck = sim.try_block_on(pending::<()>()).unwrap_err();
    assert_eq!((stuck.why, stuck.at), (Why::TooLate, Moment::ZERO + Duration::from_secs(56)));
}

#[test]
fn a_panic_ends_its_own_task_only_and_is_recorded() {
    let sim = Sim::new(4);
    let inside = sim.clone();
    let line = line!() + 1;
    sim.spawn("bad", async { panic!("number {}", 7) });
    sim.block_on(async move { inside.sleep(ms(1)).await });
    let panics = sim.panics();
    assert_eq!(panics.len(), 1);
    assert_eq!((&*panics[0].task, &*panics[0].text, panics[0].in_drop), ("bad", "number 7", false));
    let place = panics[0].place.clone().unwrap();
    assert!(place.contains(&format!("tests.rs:{line}:")), "{place}");
}

#[test]
#[should_panic(expected = "the very words")]
fn a_panic_of_the_main_future_comes_through_as_it_was() {
    Sim::new(5).block_on(async { panic!("the very words") });
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

#[test]
fn tasks_that_are_left_are_dropped_each_by_itself() {
    let sim = Sim::new(6);
    let dropped = Arc::new(AtomicU32::new(0));
    for name in ["a", "b", "c"] {
        let dropped = Arc::clone(&dropped);
        let bomb = OnDrop(move || {
            dropped.fetch_add(1, Ordering::Relaxed);
            assert!(name != "b", "b does not go quietly");
        });
        sim.spawn(name, async move {
            let _bomb = bomb;
            pending::<()>().await;
        });
    }
    sim.block_on(async {});
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    let panics = sim.panics();
    assert_eq!(panics.len(), 1);
    assert_eq!((&*panics[0].task, &*panics[0].text, panics[0].in_drop), ("b", "b does not go quietly", true));
}

#[test]
fn a_task_that_is_spawned_by_a_dropped_one_is_dropped_too() {
    let sim = Sim::new(6);
    let dropped = Arc::new(AtomicU32::new(0));
    let (outer, inside) = (Arc::clone(&dropped), sim.clone());
    let heir = OnDrop(move || {
        let inner = Arc::clone(&outer);
        let last = OnDrop(move || _ = inner.fetch_add(1, Ordering::Relaxed));
        inside.spawn("heir", async move { drop(last) });
    });
    sim.spawn("parent", async move {
        let _heir = heir;
        pending::<()>().await;
    });
    sim.block_on(async {});
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert_eq!(sim.panics(), []);
}

#[test]
fn settling_waits_for_all_that_can_run_and_takes_no_time() {
    for seed in 0..100 {
        let sim = Sim::new(seed);
        let (inside, hops, late) = (sim.clone(), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (hopper, sleeper) = (Arc::clone(&hops), Arc::clone(&late));
        sim.block_on(async move {
            let sim = inside.clone();
            inside.spawn("sleeper", async move {
                sim.sleep(ms(1)).await;
                sleeper.store(1, Ordering::Relaxed);
            });
            inside.spawn("hopper", async move {
                for _ in 0..20 {
                    yield_now().await;
                    hopper.fetch_add(1, Ordering::Relaxed);
                }
            });
            inside.settle().await;
            assert_eq!(hops.load(Ordering::Relaxed), 20, "seed {seed}");
            assert_eq!(late.load(Ordering::Relaxed), 0, "seed {seed}");
            assert_eq!(inside.now(), Moment::ZERO);
        });
    }
}

#[test]
fn one_who_settles_waits_for_what_another_one_did_after_settling() {
    for seed in 0..100 {
        let sim = Sim::new(seed);
        let (first, second) = (sim.clone(), sim.clone());
        let steps = Rc::new(Cell::new(0));
        let (writer, reader) = (Rc::clone(&steps), Rc::clone(&steps));
        sim.block_on(join(
            async move {
                first.settle().await;
                for _ in 0..5 {
                    yield_now().await;
                    writer.set(writer.get() + 1);
                }
            },
            async move {
                // Asks later than the other one, hence is served later.
                yield_now().await;
                second.settle().await;
                assert_eq!(reader.get(), 5, "seed {seed}");
            },
        ));
    }
}

#[test]
fn a_time_out_meets_a_ready_task_under_some_seeds_and_never_without_slips() {
    let meets = |sim: Sim| {
        let inside = sim.clone();
        let (fired, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (fire, see) = (Arc::clone(&fired), Arc::clone(&seen));
        sim.clone().spawn("time-out", async move {
            sim.sleep(ms(30)).await;
            fire.store(1, Ordering::Relaxed);
        });
        inside.clone().block_on(async move {
            for _ in 0..100 {
                yield_now().await;
            }
            see.store(fired.load(Ordering::Relaxed), Ordering::Relaxed);
        });
        seen.load(Ordering::Relaxed) == 1
    };
    let met = (0..200).filter(|seed| meets(Sim::new(*seed))).count();
    assert!((60..=150).contains(&met), "{met} of 200");
    assert!(!(0..200).any(|seed| meets(Sim::new(seed).without_slips())));
}

#[test]
fn without_slips_a_sleep_takes_its_time_to_the_nanosecond() {
    let sim = Sim::new(7).without_slips();
    let inside = sim.clone();
    sim.block_on(async move {
        join(inside.sleep(Duration::from_nanos(1)), inside.sleep(Duration::from_secs(3))).await;
    });
    assert_eq!(sim.now(), Moment::ZERO + Duration::from_secs(3));
}

#[test]
fn the_wall_clock_runs_with_the_virtual_one_and_jumps_without_moving_a_timer() {
    let sim = Sim::new(8).without_slips();
    let inside = sim.clone();
    sim.block_on(async move {
        let start = inside.wall_clock();
        assert_eq!(start, SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200));
        let sleep = inside.sleep(ms(500));
        inside.set_wall_clock(SystemTime::UNIX_EPOCH);
        sleep.await;
        assert_eq!(inside.now(), Moment::ZERO + ms(500));
        assert_eq!(inside.wall_clock(), SystemTime::UNIX_EPOCH + ms(500));
    });
}

#[test]
fn blocking_work_is_a_task_like_any_other() {
    let sim = Sim::new(9);
    let (sender, receiver) = async_channel::bounded(1);
    sim.spawn_blocking("work", Box::new(move || sender.try_send("done").unwrap()));
    assert_eq!(sim.block_on(async move { receiver.recv().await }), Ok("done"));
}

#[test]
fn a_real_thread_may_wake_a_task() {
    let mut woken = false;
    Sim::new(10).block_on(poll_fn(move |cx| {
        if std::mem::replace(&mut woken, true) {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        std::thread::scope(|scope| drop(scope.spawn(|| waker.wake())));
        Poll::Pending
    }));
}

#[test]
fn a_waker_kept_beyond_its_task_and_its_run_wakes_nobody() {
    let kept: Arc<std::sync::Mutex<Option<Waker>>> = Arc::default();
    let sim = Sim::new(11);
    let (keep, inside) = (Arc::clone(&kept), sim.clone());
    sim.spawn(
        "short",
        poll_fn(move |cx| {
            *keep.lock().unwrap() = Some(cx.waker().clone());
            Poll::Ready(())
        }),
    );
    sim.block_on(async move { inside.settle().await });
    let steps = sim.steps();
    kept.lock().unwrap().take().unwrap().wake();
    sim.block_on(async {});
    assert_eq!(sim.steps(), steps + 1, "only the main future is polled");
}

#[test]
fn a_task_that_wakes_itself_as_it_ends_is_not_polled_again() {
    let sim = Sim::new(11);
    let inside = sim.clone();
    let waking_end = poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Ready(())
    });
    sim.spawn("last words", waking_end);
    sim.block_on(async move { inside.settle().await });
    assert_eq!(sim.steps(), 3, "one for the task, two for the main future");
}

#[test]
fn a_simulator_runs_again_from_where_its_clock_stood() {
    let sim = Sim::new(12).without_slips();
    for _ in 0..3 {
        let inside = sim.clone();
        sim.block_on(async move { inside.sleep(ms(5)).await });
    }
    assert_eq!(sim.now(), Moment::ZERO + ms(15));
}

#[test]
fn simulations_nest_and_each_is_the_current_one_inside() {
    assert!(Sim::current().is_none());
    Sim::new(13).block_on(async {
        Sim::new(14).block_on(async { assert_eq!(Sim::current().unwrap().seed(), 14) });
        assert_eq!(Sim::current().unwrap().seed(), 13);
    });
    assert!(Sim::current().is_none());
}

#[test]
#[should_panic(expected = "this simulator is already running")]
fn a_simulator_refuses_to_run_inside_itself() {
    let sim = Sim::new(15);
    let inside = sim.clone();
    sim.block_on(async move { inside.block_on(async {}) });
}

#[test]
fn nothing_is_left_over_when_a_run_ends() {
    let sim = Sim::new(16);
    let held = Arc::new(());
    for _ in 0..3 {
        let (inside, held) = (sim.clone(), Arc::clone(&held));
        sim.spawn("sleeper", async move {
            inside.sleep(ms(1_000)).await;
            drop(held);
        });
    }
    sim.block_on(async {});
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(Arc::strong_count(&sim.shared), 1, "tasks, timers and wakers keep nothing alive");
}
