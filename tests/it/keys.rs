//! How does a message get its key, and what if it can't? (G10, G15)

use callboard::broker::{InvalidMessage, Key, PublishError};
use callboard::prelude::*;
use futures::{SinkExt as _, StreamExt as _};

use crate::every;

/// Panics at the value 13.
fn unlucky(value: &u32) -> u32 {
    assert!(*value != 13, "no key for 13");
    value % 3
}

#[test]
fn a_message_carries_the_hash_of_the_key_that_its_topic_finds() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let borrowed = broker.topic::<String>("borrowed").key(|text| text.as_str()).open().await.unwrap();
        let made = broker.topic::<u32>("made").key_by(unlucky).open().await.unwrap();
        let none = broker.topic::<u32>("none").open().await.unwrap();
        let mut first = borrowed.group("g").stream().await.unwrap();
        let mut second = made.group("g").stream().await.unwrap();
        let mut third = none.group("g").stream().await.unwrap();
        borrowed.publish("anvil".to_owned()).await.unwrap();
        made.publish(7).await.unwrap();
        none.publish(7).await.unwrap();
        assert_eq!(first.next().await.unwrap().key(), Some("anvil".key_hash()));
        assert_eq!(second.next().await.unwrap().key(), Some(1_u32.key_hash()));
        assert_eq!(third.next().await.unwrap().key(), None);
    });
}

/// G15.
#[test]
fn a_key_function_that_panics_refuses_the_message_and_gives_it_back() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u32>("t").key_by(unlucky).open().await.unwrap();
        let refused = |error| matches!(error, PublishError::Invalid(13, InvalidMessage::KeyPanicked));
        assert!(refused(topic.publish(13).await.unwrap_err()));
        let error = topic.try_publish(13).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.to_string(), "not published: the topic's key function panicked at it");
        assert!(refused(error));

        let error = topic.publish_all([1, 2, 13, 4]).await.unwrap_err();
        assert_eq!((error.accepted.len(), error.rest, error.kind), (2, vec![13, 4], ErrorKind::Invalid));

        let mut sink = topic.sink();
        let error = sink.send(13).await.unwrap_err();
        assert!(matches!(error, PublishError::Invalid(Some(13), _)));
        sink.send(5).await.unwrap();
        assert_eq!(topic.stats().await.unwrap().accepted, 3, "the topic goes on");
    });
}

/// A topic that does not let anybody wait refuses in the same way.
#[test]
fn a_rejecting_topic_refuses_a_message_without_a_key_too() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u32>("t").overflow(Overflow::Reject).key_by(unlucky).open().await.unwrap();
        assert!(matches!(topic.publish(13).await.unwrap_err(), PublishError::Invalid(13, _)));
        let error = topic.publish_all([1, 13]).await.unwrap_err();
        assert_eq!((error.accepted.len(), error.rest, error.kind), (1, vec![13], ErrorKind::Invalid));
    });
}
