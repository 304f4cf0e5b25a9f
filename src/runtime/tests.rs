//! Do all runtimes keep time, tasks and panics by the same rules, and is the right one found? (G23)

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::poll_fn;

use super::{Rt, Runtime, Smol, Timer, Tokio};
use crate::base::Moment;
use crate::sim::{Sim, Why};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Runs `body` on tokio, on smol's global executor, on one given to smol, and on the simulator.
fn on_each<F: Future<Output = ()>>(body: impl Fn(Arc<dyn Runtime>) -> F) {
    let tokio = tokio();
    tokio.block_on(body(Arc::new(Tokio::new(tokio.handle().clone()))));
    smol::block_on(body(Arc::new(Smol::global())));
    let executor = Arc::new(smol::Executor::new());
    smol::block_on(executor.run(body(Arc::new(Smol::with(Arc::clone(&executor))))));
    for seed in 0..20 {
        let sim = Sim::new(seed);
        sim.block_on(body(Arc::new(sim.clone())));
    }
}

async fn expire(timer: &mut Pin<Box<dyn Timer>>) {
    poll_fn(|cx| timer.as_mut().poll_expired(cx)).await;
}

fn is_set(timer: &mut Pin<Box<dyn Timer>>) -> bool {
    expire(timer).now_or_never().is_none()
}

#[test]
fn a_timer_is_never_early() {
    on_each(|rt| async move {
        // Odd lengths, since a clock that counts in milliseconds may round either way.
        for micros in [1, 300, 999, 1_001, 2_500] {
            let at = rt.now() + Duration::from_micros(micros);
            expire(&mut rt.timer(at)).await;
            assert!(rt.now() >= at, "{} is early for {micros} us", rt.name());
        }
    });
}

#[test]
fn a_timer_in_the_past_expires_at_once_and_stays_expired() {
    on_each(|rt| async move {
        let mut timer = rt.timer(rt.now());
        expire(&mut timer).await;
        assert!(!is_set(&mut timer), "{}", rt.name());
        assert!(!is_set(&mut timer), "{}", rt.name());
    });
}

#[test]
fn a_timer_can_be_set_again_before_and_after_it_expires() {
    on_each(|rt| async move {
        let far = Duration::from_secs(3_600);
        let mut timer = rt.timer(rt.now() + far);
        assert!(is_set(&mut timer), "{}", rt.name());
        let at = rt.now() + ms(2);
        timer.as_mut().reset(at);
        expire(&mut timer).await;
        assert!(rt.now() >= at, "{}", rt.name());

        timer.as_mut().reset(rt.now() + far);
        assert!(is_set(&mut timer), "{} forgets that it expired", rt.name());
        let at = rt.now() + ms(2);
        timer.as_mut().reset(at);
        expire(&mut timer).await;
        assert!(rt.now() >= at, "{}", rt.name());
    });
}

#[test]
fn a_timer_at_the_end_of_time_never_expires_and_can_still_be_set() {
    on_each(|rt| async move {
        let mut timer = rt.timer(Moment::MAX);
        assert!(is_set(&mut timer), "{}", rt.name());
        timer.as_mut().reset(rt.now());
        expire(&mut timer).await;
        timer.as_mut().reset(Moment::MAX);
        assert!(is_set(&mut timer), "{}", rt.name());
        // Time passes, and it is still not due.
        expire(&mut rt.timer(rt.now() + ms(2))).await;
        assert!(is_set(&mut timer), "{}", rt.name());
    });
}

#[test]
fn a_timer_nearly_at_the_end_of_time_is_far_off_and_not_past() {
    on_each(|rt| async move {
        let nearly = Moment::from_nanos(u64::MAX - 1);
        let mut timer = rt.timer(nearly);
        assert!(is_set(&mut timer), "{}", rt.name());
    });
}

#[test]
fn the_real_runtimes_share_one_clock() {
    let tokio = tokio();
    let (tokio, smol) = (Tokio::new(tokio.handle().clone()), Smol::global());
    let readings = [tokio.now(), smol.now(), tokio.now(), smol.now()];
    assert!(readings.is_sorted(), "{readings:?}");
}

#[test]
fn the_clock_of_tokio_stands_still_while_it_is_paused() {
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let rt = Tokio::new(tokio.handle().clone());
    tokio.block_on(async move {
        let start = rt.now();
        expire(&mut rt.timer(start + Duration::from_secs(3_600))).await;
        assert!(rt.now().since(start) < Duration::from_secs(3_601));
        assert!(rt.now().since(start) >= Duration::from_secs(3_600));
    });
}

#[test]
fn a_spawned_task_runs_though_nobody_holds_it() {
    on_each(|rt| async move {
        let (done, ended) = oneshot::channel();
        rt.spawn("detached", Box::pin(async move { done.send(()).unwrap() }));
        ended.await.unwrap();
    });
}

#[test]
fn blocking_work_reports_back() {
    on_each(|rt| async move {
        let (done, ended) = oneshot::channel();
        rt.spawn_blocking("work", Box::new(move || done.send(7).unwrap()));
        assert_eq!(ended.await, Ok(7));
    });
}

#[test]
fn a_panic_of_a_task_leaves_its_executor_alive() {
    on_each(|rt| async move {
        let (gone, panicked) = oneshot::channel::<()>();
        rt.spawn(
            "bad",
            Box::pin(async move {
                let _gone = gone;
                panic!("thrown on purpose");
            }),
        );
        assert!(panicked.await.is_err(), "the task is dropped, and its sender with it");
        let (done, ended) = oneshot::channel();
        rt.spawn("good", Box::pin(async move { done.send(()).unwrap() }));
        ended.await.unwrap();
    });
}

#[test]
fn random_numbers_differ() {
    on_each(|rt| async move { assert_ne!(rt.random(), rt.random(), "{}", rt.name()) });
}

#[test]
fn the_runtime_found_is_the_one_the_code_runs_in() {
    let name = || Rt::current().unwrap().name();
    assert_eq!(name(), "smol", "outside of all, since the feature is on");
    assert_eq!(smol::block_on(async { name() }), "smol");
    let tokio = tokio();
    tokio.block_on(async {
        assert_eq!(name(), "tokio");
        assert_eq!(Sim::new(1).block_on(async { name() }), "sim", "the simulator goes before");
        assert_eq!(name(), "tokio", "and leaves no trace");
    });
    assert_eq!(Sim::new(1).block_on(async { tokio.block_on(async { name() }) }), "sim");
    assert_eq!(name(), "smol");
}

#[test]
fn the_runtime_found_in_a_simulation_is_that_very_simulator_in_its_tasks_too() {
    let sim = Sim::new(2);
    let (found, names) = async_channel::bounded(1);
    sim.block_on(async move {
        Rt::current().unwrap().spawn("task", async move {
            let rt = Rt::current().unwrap();
            rt.sleep_until(Moment::ZERO + ms(7)).await;
            found.send((rt.name(), rt.now())).await.unwrap();
        });
        let (name, at) = names.recv().await.unwrap();
        assert_eq!(name, "sim");
        assert!(at >= Moment::ZERO + ms(7) && at < Moment::ZERO + ms(100), "{at:?}");
    });
    assert!(sim.now() >= Moment::ZERO + ms(7));
}

#[test]
fn a_panic_restores_the_runtime_that_was_found_before() {
    let thrown = std::panic::catch_unwind(|| Sim::new(3).block_on(async { panic!("thrown on purpose") }));
    assert!(thrown.is_err());
    assert_eq!(Rt::current().unwrap().name(), "smol");
}

#[test]
fn an_alarm_tells_the_time_and_can_be_moved() {
    let sim = Sim::new(4).without_slips();
    let mut clock = Rt::new(sim.clone()).clock();
    sim.block_on(async {
        let (early, late) = (Moment::ZERO + ms(5), Moment::ZERO + ms(9));
        let pends = poll_fn(|cx| clock.poll_alarm(Some(early), cx)).now_or_never();
        assert_eq!(pends, None);
        assert_eq!(poll_fn(|cx| clock.poll_alarm(Some(late), cx)).await, late);
        assert_eq!(poll_fn(|cx| clock.poll_alarm(Some(early), cx)).await, late, "past alarms tell the time");
    });
}

#[test]
fn an_alarm_that_is_disarmed_keeps_no_timer() {
    let sim = Sim::new(5);
    let mut clock = Rt::new(sim.clone()).clock();
    let next = Moment::ZERO + ms(5);
    let armed = |clock: &mut super::Clock, cx: &mut Context<'_>| {
        assert!(clock.poll_alarm(Some(next), cx).is_pending());
        assert!(clock.poll_alarm(None, cx).is_pending());
        Poll::<()>::Pending
    };
    let stuck = sim.try_block_on(poll_fn(|cx| armed(&mut clock, cx))).unwrap_err();
    assert_eq!(
        (stuck.why, stuck.at),
        (Why::Deadlock, Moment::ZERO),
        "a timer left behind would move the clock"
    );
}

#[test]
fn an_alarm_armed_again_after_it_was_disarmed_goes_off() {
    let sim = Sim::new(6).without_slips();
    let mut clock = Rt::new(sim.clone()).clock();
    let next = Moment::ZERO + ms(5);
    sim.block_on(async {
        assert_eq!(poll_fn(|cx| clock.poll_alarm(Some(next), cx)).now_or_never(), None);
        assert_eq!(poll_fn(|cx| clock.poll_alarm(None, cx)).now_or_never(), None);
        assert_eq!(poll_fn(|cx| clock.poll_alarm(Some(next), cx)).await, next);
    });
}

#[test]
fn the_wall_clock_is_told_in_milliseconds_and_one_before_1970_counts_as_zero() {
    let sim = Sim::new(7);
    let rt = Rt::new(sim.clone());
    sim.set_wall_clock(std::time::UNIX_EPOCH + Duration::from_micros(2_999));
    assert_eq!(rt.wall_millis(), 2);
    sim.set_wall_clock(std::time::UNIX_EPOCH - ms(1));
    assert_eq!(rt.wall_millis(), 0);
    assert_ne!(rt.random(), rt.random());
}

#[test]
fn a_smol_runtime_on_a_given_executor_runs_only_while_that_is_run() {
    let executor = Arc::new(smol::Executor::new());
    let rt = Smol::with(Arc::clone(&executor));
    let (done, mut ended) = oneshot::channel();
    rt.spawn("task", Box::pin(async move { done.send(()).unwrap() }));
    assert_eq!(ended.try_recv(), Ok(None));
    assert!(executor.try_tick());
    assert_eq!(ended.try_recv(), Ok(Some(())));
}
