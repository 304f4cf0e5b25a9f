//! Does a payload arrive as it was published, whatever it is, and is it kept once and shown to nobody else?
//! (G5, G6, G11)

use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use callboard::broker::{AckError, PublishAllError, PublishError};
use callboard::prelude::*;
use callboard::runtime::BoxFuture;
use callboard::sim::Sim;
use futures::{FutureExt as _, StreamExt as _};
use tracing::Level;

use super::kit::elsewhere;
use crate::every;
use crate::logs::logs_of;

/// Publishes what `make` makes, and checks what two groups get: at once, and once more after a failure.
fn travels<T: Send + Sync + 'static>(make: fn() -> T, is_it: fn(&T) -> bool) -> BoxFuture {
    let things = async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<T>("things").open().await.unwrap();
        let open = |group| topic.group(group).retry(Retry::immediately()).stream();
        let streams = [open("first").await.unwrap(), open("second").await.unwrap()];
        topic.publish(make()).await.unwrap();
        topic.publish_all([make(), make()]).await.unwrap();
        for mut stream in streams {
            for attempt in [1, 2] {
                let held = [stream.next().await, stream.next().await, stream.next().await];
                for delivery in held.map(Option::unwrap) {
                    assert_eq!(delivery.attempt(), attempt);
                    assert!(is_it(&delivery), "{}", std::any::type_name::<T>());
                    if attempt == 1 { delivery.nack("once more") } else { delivery.ack() }.unwrap();
                }
            }
        }
        topic.settled().await.unwrap();
        assert_eq!(broker.shutdown().await.lost(), 0);
    };
    things.boxed()
}

/// Bytes that are no text in any encoding of Unicode.
const NO_TEXT: [u8; 5] = [0xff, 0x00, 0xc3, 0x28, b'\n'];

fn large() -> Vec<u8> {
    vec![0xa5; 1 << 20]
}

type Call = Box<dyn Fn(u32) -> u32 + Send + Sync>;

#[test]
fn a_payload_of_any_shape_arrives_as_it_was_published() {
    every::runtime(|| async {
        travels(|| (), |()| true).await;
        travels(Vec::<u8>::new, |bytes| bytes.is_empty()).await;
        travels(String::new, |text| text.is_empty()).await;
        travels(|| NO_TEXT.to_vec(), |bytes| *bytes == NO_TEXT).await;
        travels(large, |bytes| *bytes == large()).await;
        travels(|| [7_u64; 512], |array| *array == [7; 512]).await;
        travels(|| Some(Err::<u8, _>(7)), |option| *option == Some(Err(7))).await;
        travels(|| Box::new(|n: u32| n + 1) as Call, |call| call(1) == 2).await;
    });
}

/// Can neither be copied nor shown, and says when it is dropped.
struct Precious {
    number: usize,
    drops: Arc<AtomicUsize>,
}

impl Drop for Precious {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

fn address(message: &Message<Precious>) -> usize {
    &raw const **message as usize
}

#[test]
fn a_payload_is_one_object_for_every_group_attempt_and_dead_letter_and_is_dropped_once() {
    const MESSAGES: usize = 30;
    every::runtime(|| async {
        let drops = Arc::new(AtomicUsize::new(0));
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<Precious>("things").open().await.unwrap();
        let dead = broker.topic::<DeadLetter>("things.bad.dead").open().await.unwrap();
        let mut good = topic.group("good").stream().await.unwrap();
        let mut bad = topic.group("bad").retry(Retry::immediately().max_attempts(2)).stream().await.unwrap();
        let mut letters = dead.group("clerk").stream().await.unwrap();
        let precious = (0..MESSAGES).map(|number| Precious { number, drops: drops.clone() });
        topic.publish_all(precious).await.unwrap();
        let mut addresses = vec![0; MESSAGES];
        for _ in 0..MESSAGES {
            let delivery = good.next().await.unwrap();
            addresses[delivery.number] = address(&delivery);
            delivery.ack().unwrap();
        }
        for _ in 0..2 * MESSAGES {
            let delivery = bad.next().await.unwrap();
            assert_eq!(address(&delivery), addresses[delivery.number]);
            delivery.nack("on purpose").unwrap();
        }
        for _ in 0..MESSAGES {
            let letter = letters.next().await.unwrap();
            let message = letter.message::<Precious>().unwrap();
            assert_eq!(address(&message), addresses[message.number]);
            assert_eq!(drops.load(Ordering::Relaxed), 0, "the letters that are left hold it");
            drop(message);
            letter.ack().unwrap();
        }
        assert_eq!(broker.shutdown().await.lost(), 0);
        drop((good, bad, letters));
        assert_eq!(drops.load(Ordering::Relaxed), MESSAGES);
    });
}

#[test]
fn a_message_that_is_kept_outlives_its_settlement_and_its_broker() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<String>("things").open().await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.publish("kept".to_string()).await.unwrap();
        let delivery = stream.next().await.unwrap();
        let kept = delivery.to_message();
        delivery.ack().unwrap();
        broker.shutdown().await;
        drop((broker, topic, stream));
        let there = kept.clone();
        let text =
            elsewhere(async move { format!("{} {} {}", *there, there.attempt(), there.topic()) }).await;
        assert_eq!(text, "kept 1 things");
    });
}

/// Has no words for itself, so that nobody else can have.
struct Secret(&'static str);

const TEXT: &str = "s3cr3t";

/// What an error says in each of its forms.
fn words(error: &(impl Display + Debug)) -> String {
    format!("{error} {error:?} {error:#?}")
}

#[test]
fn no_error_and_no_log_shows_a_payload() {
    let logs = logs_of(Level::TRACE, async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<Secret>("secrets").capacity(1).open().await.unwrap();
        let secret = || Secret(TEXT);
        let group = topic.group("g").retry(Retry::none());
        topic.publish(secret()).await.unwrap();
        let full: PublishError<Secret> = topic.try_publish(secret()).unwrap_err();
        group.run_fn(|secret| if secret.0 == TEXT { Err(Fault::new("no")) } else { Ok(()) }).await.unwrap();
        topic.settled().await.unwrap();
        let dead = broker.find_topic::<DeadLetter>("secrets.g.dead").unwrap();
        let letter = dead.group("clerk").stream().await.unwrap().next().await.unwrap();
        Sim::current().unwrap().settle().await;
        let handles = format!("{broker:?} {topic:?} {letter:?} {:?}", topic.sink());
        let report = format!("{:?}", broker.shutdown_within(std::time::Duration::ZERO).await);
        let closed: PublishError<Secret> = topic.publish(secret()).await.unwrap_err();
        let rest: PublishAllError<Secret> = topic.publish_all([secret()]).await.unwrap_err();
        let late: AckError = letter.ack().unwrap_err();
        let said = [words(&full), words(&closed), words(&rest), words(&late), handles, report].concat();
        assert!(!said.contains(TEXT), "{said}");
    });
    assert!(logs.iter().any(|log| log.contains("secrets")), "{logs:?}");
    assert!(!logs.iter().any(|log| log.contains(TEXT)), "{logs:?}");
}
