//! Does code of a user's that panics where nobody expects it, in an error's text or in a drop, harm anybody else?

use std::error::Error;
use std::fmt;
use std::mem::forget;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use callboard::prelude::*;
use callboard::runtime::Tokio;
use callboard::sim::Sim;
use callboard::supervise::Backoff;
use futures::stream;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::actor_probe::Grenade;
use crate::every;

/// Panics when it is shown or dropped.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("there are no words")
    }
}

impl Error for Broken {}

impl Drop for Broken {
    fn drop(&mut self) {
        panic!("an error's drop");
    }
}

/// Its first `started` fails, in the worst way.
struct Slow {
    starts: Arc<AtomicU32>,
}

impl Consumer<u64> for Slow {
    async fn started(&mut self) -> Result<(), Fault> {
        if self.starts.fetch_add(1, Ordering::SeqCst) == 0 { Err(Broken.into()) } else { Ok(()) }
    }

    async fn handle(&mut self, _: &Message<u64>) -> Result<Outcome, Fault> {
        Ok(Outcome::Ack)
    }
}

/// G14, G15
#[test]
fn a_consumer_that_fails_to_start_with_a_broken_error_is_built_again() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let starts = Arc::new(AtomicU32::new(0));
        let group = topic.group("g").restart_backoff(Backoff::fixed(Duration::from_millis(1)));
        let group = group.run_with(move || Slow { starts: starts.clone() }).await.unwrap();
        topic.publish(1).await.unwrap();
        topic.settled().await.unwrap();
        let stats = group.stats().await.unwrap();
        assert_eq!((stats.acked, stats.restarts, stats.consumers), (1, 1, 1), "{stats:?}");
        assert_eq!(broker.shutdown().await.lost(), 0);
    });
}

/// Fails when it is asked to, in the worst way.
struct Fails;

enum Ask {
    Fail,
    Answer(Reply<u32>),
}

impl Actor for Fails {
    type Message = Ask;

    async fn handle(&mut self, message: Ask, _: &mut Context<Ask>) -> Result<(), Fault> {
        match message {
            Ask::Fail => Err(Broken.into()),
            Ask::Answer(reply) => {
                reply.send(7).unwrap();
                Ok(())
            }
        }
    }
}

/// G14, G15. What logs an error asks it for its text.
#[test]
fn a_supervised_actor_with_a_broken_error_is_restarted_while_somebody_logs() {
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
        Sim::new(1).block_on(async {
            let mut tree = Supervisor::one_for_one(&System::start().unwrap());
            let child = tree.child(ChildSpec::new("fails", || Fails).backoff(Backoff::none())).unwrap();
            let running = tree.start().await.unwrap();
            for _ in 0..2 {
                child.send(Ask::Fail).await.unwrap();
                assert_eq!(child.ask(Ask::Answer).await.unwrap(), 7);
            }
            assert_eq!(running.children().await[0].restarts, 2);
            assert!(!running.stop().await.exit.is_failure());
        });
    });
}

/// Has timers and streams that don't like to be dropped.
struct Armed;

impl Actor for Armed {
    type Message = Grenade;

    async fn started(&mut self, context: &mut Context<Grenade>) -> Result<(), Fault> {
        for _ in 0..3 {
            context.send_after(Duration::from_secs(60), Grenade)?;
            let grenade = Grenade;
            context.attach(stream::poll_fn(move |_| {
                let _kept = &grenade;
                std::task::Poll::<Option<Grenade>>::Pending
            }))?;
        }
        Ok(())
    }

    async fn handle(&mut self, grenade: Grenade, _: &mut Context<Grenade>) -> Result<(), Fault> {
        forget(grenade);
        Ok(())
    }
}

/// G15
#[test]
fn timers_and_streams_that_all_panic_when_dropped_end_their_actor_and_no_more() {
    every::runtime(|| async {
        let armed = System::start().unwrap().spawn(Armed);
        let ended = armed.stop().await;
        assert!(matches!(&ended.exit, Exit::Panicked(text) if &**text == "boom"), "{ended:?}");
    });
}

/// G15
#[test]
fn a_runtime_that_goes_away_with_a_full_topic_drops_each_payload_by_itself() {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let broker = Broker::builder().runtime(Tokio::new(tokio.handle().clone())).start().unwrap();
    let topic = tokio.block_on(broker.topic::<Grenade>("t").open()).unwrap();
    // Nothing runs the topic any more, so they stay where they are put.
    for _ in 0..3 {
        topic.try_publish(Grenade).map_err(forget).unwrap();
    }
    drop(tokio);
    forget(topic.try_publish(Grenade).unwrap_err());
}
