//! What becomes of delayed messages when their topic or their broker ends before they are due? (G15, G18, G19)

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use callboard::broker::PublishError;
use callboard::prelude::*;

use crate::delayed::{HOUR, open, scheduled};
use crate::every;
use crate::kit::{begun, poll_once, yield_now};

/// G18, G19
#[test]
fn a_topic_that_is_deleted_sends_away_who_waits_and_counts_what_was_delayed() {
    every::runtime(|| async {
        let (broker, topic) = open(1, 2).await;
        for value in 0..2 {
            topic.publish_after(HOUR, value).await.unwrap();
        }
        let waits = begun(topic.publish_after(HOUR, 7)).await;
        let report = topic.delete().await.unwrap();
        assert_eq!((report.scheduled, report.unread, report.lost()), (2, 0, 2));
        let error = waits.await.unwrap_err();
        assert!(matches!(error, PublishError::Closed(7)), "{error}");
        let (again, _) = (broker.topic::<u64>("t").open().await.unwrap(), broker.idle().await.unwrap());
        assert_eq!(scheduled(&again).await, 0);
    });
}

/// A payload that counts how many of it are alive, and panics when it is dropped in one of these.
struct Counted(Arc<AtomicUsize>, bool);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>, panics: bool) -> Counted {
        alive.fetch_add(1, Ordering::SeqCst);
        Counted(alive.clone(), panics)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        assert!(!self.1, "a payload's drop");
    }
}

/// G15, G18
#[test]
fn the_end_drops_what_was_delayed_even_if_a_drop_panics() {
    every::runtime(|| async {
        let alive = Arc::new(AtomicUsize::new(0));
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<Counted>("t").open().await.unwrap();
        for n in 0..10 {
            topic.publish_after(HOUR, Counted::new(&alive, n % 3 == 0)).await.unwrap();
        }
        let one = topic.publish_after(HOUR, Counted::new(&alive, true)).await.unwrap();
        let mut cancel = Box::pin(topic.cancel_scheduled(one));
        assert!(poll_once(&mut cancel).await.is_pending());
        // The answer may have come by now, and then this is where the message's drop panics.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(cancel)));
        while topic.stats().await.unwrap().scheduled > 10 {
            yield_now().await;
        }
        let report = broker.shutdown().await;
        assert_eq!((report.lost(), alive.load(Ordering::SeqCst)), (10, 0));
    });
}

/// G18
#[test]
fn the_last_handle_takes_what_is_delayed_along() {
    every::runtime(|| async {
        let alive = Arc::new(AtomicUsize::new(0));
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<Counted>("t").open().await.unwrap();
        topic.publish_after(HOUR, Counted::new(&alive, false)).await.unwrap();
        drop(broker);
        while alive.load(Ordering::SeqCst) > 0 {
            yield_now().await;
        }
        assert!(topic.publish_after(HOUR, Counted::new(&alive, false)).await.is_err());
    });
}
