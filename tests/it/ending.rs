//! Is the end of a broker final, the same for everybody, and without a trace? (G16, G18, G19, G23)

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::broker::{AckError, Closed, OpenError, PublishError};
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::StreamExt as _;

use crate::every;
use crate::kit::{Valve, assert_balance, chain, poll_once, secs, stays_pending, valved, yield_now};

#[test]
fn every_call_for_a_shutdown_gets_the_one_report() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let valve = Valve::shut();
        valved(&topic, "g", &valve).await;
        topic.publish_all(0..3).await.unwrap();
        valve.next().await;
        // Begun, and dropped: it goes on.
        let mut dropped = Box::pin(broker.shutdown());
        assert!(poll_once(&mut dropped).await.is_pending());
        drop(dropped);
        let clone = broker.clone();
        let other = every::spawn("other", async move { clone.shutdown().await });
        let third = broker.shutdown_within(Duration::ZERO);
        valve.open();
        let (other, third) = futures::future::join(other, third).await;
        assert_eq!(other, third);
        assert_eq!(broker.shutdown().await, third);
        assert_eq!((third.lost(), third.timed_out), (0, false), "the first call's limit holds");
    });
}

#[test]
fn a_shutdown_that_was_never_polled_did_not_begin() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        drop(broker.shutdown());
        topic.publish(1).await.unwrap();
    });
}

/// Says so when it is dropped.
struct Tell(Arc<AtomicU64>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn deliveries_held_over_the_end_are_refused_and_lost() {
    every::seed(20, |_| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish_all(0..4).await.unwrap();
        let acked = stream.next().await.unwrap();
        let held = [stream.next().await.unwrap(), stream.next().await.unwrap()];
        acked.ack().unwrap();
        let report = broker.shutdown_within(secs(1)).await;
        assert!(report.timed_out, "it waits for the stream that runs");
        let group = report.group("t", "g").unwrap();
        assert_eq!((group.settled, group.lost), (1, 3));
        assert_balance(&report);
        let [one, two] = held;
        assert_eq!(one.extend(), Err(AckError::Closed));
        assert_eq!(one.ack(), Err(AckError::Closed));
        drop(two);
        assert!(stream.next().await.is_none() && stream.next().await.is_none());
        assert_eq!(broker.shutdown().await, report, "and nothing is counted later");
    });
}

#[test]
fn after_the_end_every_call_answers_closed() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let group = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
        let mut sink = topic.sink();
        broker.shutdown().await;
        assert!(matches!(topic.publish(1).await, Err(PublishError::Closed(1))));
        assert!(matches!(topic.try_publish(1), Err(PublishError::Closed(1))));
        assert_eq!(topic.publish_all([1]).await.unwrap_err().rest, [1]);
        assert!(matches!(futures::SinkExt::send(&mut sink, 1).await, Err(PublishError::Closed(_))));
        assert_eq!(topic.stats().await, Err(Closed));
        assert_eq!(topic.settled().await, Err(Closed));
        assert_eq!(group.stats().await, Err(Closed));
        assert_eq!(broker.idle().await, Err(Closed));
        assert!(matches!(broker.find_topic::<u64>("t"), Err(OpenError::Closed)));
        assert!(matches!(broker.topic::<u64>("t").open().await, Err(OpenError::Closed)));
        assert!(matches!(topic.group("g").run_fn(|_| Ok(())).await, Err(OpenError::Closed)));
        assert!(matches!(topic.group("g").stream().await, Err(OpenError::Closed)));
        assert!(broker.topics().is_empty());
        topic.hold();
        topic.release();
    });
}

#[test]
fn who_waits_for_quiet_when_the_end_comes_is_told() {
    every::seed(50, |_| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        valved(&topic, "g", &Valve::shut()).await;
        topic.publish(1).await.unwrap();
        let (mut idle, mut settled) = (Box::pin(broker.idle()), Box::pin(topic.settled()));
        assert!(stays_pending(&mut idle, 20).await && stays_pending(&mut settled, 20).await);
        broker.shutdown_within(secs(1)).await;
        assert_eq!((idle.await, settled.await), (Err(Closed), Err(Closed)));
    });
}

#[test]
fn dropping_the_last_handle_stops_at_once() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let valve = Valve::shut();
        let dropped = Arc::new(AtomicU64::new(0));
        let group = topic.group("g").with((valve.clone(), Arc::new(Tell(dropped.clone()))));
        let handle = async |n: Message<u64>, (valve, _tell): (Valve, Arc<Tell>)| {
            valve.pass(*n).await;
            Ok(())
        };
        let group = group.run(handle).await.unwrap();
        topic.publish_all(0..3).await.unwrap();
        valve.next().await;
        let clone = broker.clone();
        drop(broker);
        topic.publish(3).await.unwrap();
        drop(clone);
        assert!(matches!(topic.publish(4).await, Err(PublishError::Closed(4))));
        assert!(matches!(topic.group("h").run_fn(|_| Ok(())).await, Err(OpenError::Closed)));
        while topic.stats().await.is_ok() || group.stats().await.is_ok() {
            yield_now().await;
        }
        while dropped.load(Ordering::Relaxed) == 0 {
            yield_now().await;
        }
        assert_eq!(valve.heard(), [0; 0], "nothing was handed out after the end");
    });
}

#[test]
fn after_the_end_nothing_of_the_broker_is_left() {
    every::runtime(|| async {
        let alive = Arc::new(());
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<Arc<()>>("t").capacity(100).open().await.unwrap();
        let dropped = Arc::new(AtomicU64::new(0));
        let state = (Valve::shut(), Arc::new(Tell(dropped.clone())));
        let valve = state.0.clone();
        let stays = async |_, (valve, _tell): (Valve, Arc<Tell>)| {
            valve.pass(0).await;
            Ok(())
        };
        topic.group("stays").consumers(3).with(state).run(stays).await.unwrap();
        let bad = topic.group("bad").retry(Retry::fixed(secs(600)));
        bad.run_fn(|_| Err(Fault::new("no"))).await.unwrap();
        let dead = topic.group("dead").retry(Retry::none()).dead_letter_capacity(3);
        dead.run_fn(|_| Err(Fault::new("no"))).await.unwrap();
        let stream = topic.group("pulls").stream().await.unwrap();
        topic.publish_all(vec![alive.clone(); 100]).await.unwrap();
        let mut in_line = Box::pin(topic.publish(alive.clone()));
        assert!(stays_pending(&mut in_line, 3).await);
        valve.next().await;
        let report = broker.shutdown_within(Duration::from_millis(1)).await;
        assert!(report.timed_out);
        assert_balance(&report);
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "handlers are gone when it says so");
        drop((in_line, stream));
        assert_eq!(Arc::strong_count(&alive), 1, "and so is every payload");
        drop((topic, broker));
        if let Some(sim) = Sim::current() {
            sim.settle().await;
        }
    });
}

#[test]
fn after_the_end_no_task_and_no_timer_is_left() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let stuck = sim.try_block_on(async {
            let broker = Broker::start().unwrap();
            let (first, _) = chain(&broker, 4).await;
            let bad = first.group("bad").retry(Retry::fixed(secs(600)));
            bad.run_fn(|_| Err(Fault::new("no"))).await.unwrap();
            let stream = first.group("pulls").stream().await.unwrap();
            first.publish_all([1, 2]).await.unwrap();
            broker.shutdown_within(secs(1)).await;
            // Handles stay: they must keep nothing alive.
            let handles = (broker, first, stream);
            std::future::pending::<()>().await;
            drop(handles);
        });
        let stuck = stuck.unwrap_err();
        assert_eq!((stuck.why, stuck.waiting), (callboard::sim::Why::Deadlock, vec!["main".to_string()]));
        assert!(stuck.at < callboard::base::Moment::ZERO + secs(5), "{:?}", stuck.at);
    }
}

#[test]
fn a_handler_that_never_yields_is_reported_stuck_and_the_shutdown_returns() {
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let (blocked, dropped) = (Mutex::new(blocked), Arc::new(AtomicU64::new(0)));
    let tell = Tell(dropped.clone());
    let end = every::watched(secs(20), move || {
        let mut tokio = tokio::runtime::Builder::new_multi_thread();
        let tokio = tokio.worker_threads(2).enable_all().build().unwrap();
        // Not as a task: it would lie in the slot of the worker that woke it, which is the blocked one.
        tokio.block_on(async move {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t").open().await.unwrap();
            let (enter, entered) = async_channel::bounded(1);
            let handle = move |_: &Message<u64>| {
                let _tell = &tell;
                enter.try_send(()).unwrap();
                let _ = blocked.lock().unwrap().recv();
                Ok(())
            };
            topic.group("g").run_fn(handle).await.unwrap();
            topic.publish_all([1, 2]).await.unwrap();
            entered.recv().await.unwrap();
            let report = broker.shutdown_within(Duration::from_millis(1)).await;
            let group = report.group("t", "g").unwrap();
            assert_eq!((group.settled, group.lost, group.stuck), (0, 2, 1), "never acked");
            assert!(report.timed_out);
            assert_eq!(dropped.load(Ordering::Relaxed), 0, "it goes on");
            unblock.send(()).unwrap();
            while dropped.load(Ordering::Relaxed) == 0 {
                yield_now().await;
            }
            assert_eq!(broker.shutdown().await, report, "and its late ack changes nothing");
        });
    });
    assert_eq!(end, Ok(()));
}

#[test]
fn a_handler_may_shut_its_own_broker_down_and_is_ended_by_it() {
    every::seed(20, |sim| async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let state = (broker.clone(), ended.clone());
        let handle = async |_, (broker, ended): (Broker, Arc<AtomicBool>)| {
            broker.shutdown_within(secs(2)).await;
            ended.store(true, Ordering::Relaxed);
            Ok(())
        };
        topic.group("g").with(state).run(handle).await.unwrap();
        topic.publish(1).await.unwrap();
        while topic.stats().await.is_ok() {
            sim.sleep(Duration::from_millis(100)).await;
        }
        let report = broker.shutdown().await;
        assert_eq!((report.timed_out, report.lost()), (true, 1), "it waited for this very handler");
        assert!(!ended.load(Ordering::Relaxed), "which was cancelled");
    });
}

#[test]
fn a_handler_may_drop_the_last_handle() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let slot = Arc::new(Mutex::new(None));
        let state = slot.clone();
        let handle = async |_, slot: Arc<Mutex<Option<Broker>>>| {
            let last = slot.lock().unwrap().take();
            drop(last);
            Ok(())
        };
        topic.group("g").with(state).run(handle).await.unwrap();
        *slot.lock().unwrap() = Some(broker);
        topic.publish(1).await.unwrap();
        while topic.stats().await.is_ok() {
            yield_now().await;
        }
    });
}

#[test]
fn two_brokers_end_by_themselves() {
    every::runtime(|| async {
        let (one, two) = (Broker::start().unwrap(), Broker::start().unwrap());
        let target = two.topic::<u64>("target").open().await.unwrap();
        let sum = Arc::new(AtomicU64::new(0));
        let add = async |n: Message<u64>, sum: Arc<AtomicU64>| {
            sum.fetch_add(*n, Ordering::Relaxed);
            Ok(())
        };
        target.group("add").with(sum.clone()).run(add).await.unwrap();
        let source = one.topic::<u64>("source").open().await.unwrap();
        let pass = async |n: Message<u64>, target: Topic<u64>| {
            target.publish(*n).await?;
            Ok(())
        };
        source.group("pass").retry(Retry::none()).with(target.clone()).run(pass).await.unwrap();
        source.publish_all(1..=10).await.unwrap();
        assert_eq!(one.shutdown().await.lost(), 0, "a draining broker's handler may publish to another one");
        target.publish(100).await.unwrap();
        assert_eq!(two.shutdown().await.lost(), 0);
        assert_eq!(sum.load(Ordering::Relaxed), 155);
    });
}

#[test]
fn a_handler_of_another_broker_is_an_outsider_to_a_drain() {
    every::seed(20, |_| async {
        let (one, two) = (Broker::start().unwrap(), Broker::start().unwrap());
        let target = two.topic::<u64>("target").open().await.unwrap();
        let (valve, busy) = (Valve::shut(), Valve::shut());
        valved(&target, "keeps-it-draining", &busy).await;
        target.publish(0).await.unwrap();
        let source = one.topic::<u64>("source").open().await.unwrap();
        let refused = Arc::new(AtomicU64::new(0));
        let state = (target.clone(), valve.clone(), refused.clone());
        let pass = async |n: Message<u64>, (target, valve, refused): (Topic<u64>, Valve, Arc<AtomicU64>)| {
            valve.pass(*n).await;
            assert!(matches!(target.publish(*n).await, Err(PublishError::Closed(_))));
            refused.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        source.group("pass").with(state).run(pass).await.unwrap();
        source.publish(1).await.unwrap();
        valve.next().await;
        let mut end = Box::pin(two.shutdown());
        assert!(poll_once(&mut end).await.is_pending());
        valve.open();
        source.settled().await.unwrap();
        busy.open();
        assert_eq!(end.await.lost(), 0);
        assert_eq!(refused.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_runtime_that_ends_first_leaves_answers_behind() {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (broker, topic, group) = tokio.block_on(async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(1).open().await.unwrap();
        let group = valved(&topic, "g", &Valve::shut()).await;
        topic.publish(1).await.unwrap();
        (broker, topic, group)
    });
    drop(tokio);
    let end = every::watched(secs(20), move || {
        smol::block_on(async move {
            assert!(matches!(topic.publish(2).await, Err(PublishError::Closed(2))));
            assert!(matches!(topic.try_publish(2), Err(PublishError::Closed(2))));
            assert_eq!((topic.stats().await, topic.settled().await), (Err(Closed), Err(Closed)));
            assert_eq!((group.stats().await, broker.idle().await), (Err(Closed), Err(Closed)));
            assert!(matches!(topic.group("h").stream().await, Err(OpenError::Closed)));
            let report = broker.shutdown().await;
            assert!(report.timed_out && report.topics.is_empty());
            assert_eq!(broker.shutdown().await, report);
            drop((broker, topic, group));
        });
    });
    assert_eq!(end, Ok(()));
}
