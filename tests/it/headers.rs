//! Do headers travel with their message, wherever that goes, and is what can't be one refused? (G8, G11, G15)

use callboard::broker::{Headers, InvalidHeader, InvalidMessage, PublishError};
use callboard::prelude::*;
use futures::StreamExt as _;

use crate::every;

/// 24 of them: an empty value, one that is no text, a name that is there twice, one that looks like ours.
fn many() -> Headers {
    let mut headers = Headers::new();
    for n in 0..20 {
        headers.append(&format!("Name-{n}"), format!("value {n}")).unwrap();
    }
    headers.append("empty", "").unwrap();
    headers.append("bytes", [0xff, 0x00, 0xc3, 0x28, b'\n']).unwrap();
    headers.append("name-7", "once more").unwrap();
    headers.append("retry-count", "3").unwrap();
    headers
}

async fn topic() -> (Broker, Topic<u64>) {
    let broker = Broker::start().unwrap();
    let topic = broker.topic::<u64>("t").open().await.unwrap();
    (broker, topic)
}

#[test]
fn headers_arrive_byte_for_byte_at_every_group_beside_messages_that_have_none() {
    every::runtime(|| async {
        let (_broker, topic) = topic().await;
        let streams = [topic.group("a").stream().await.unwrap(), topic.group("b").stream().await.unwrap()];
        topic.hold();
        topic.publish(0).await.unwrap();
        let published = topic.message(1).header("x", "replaced").headers(many()).publish().await.unwrap();
        assert_eq!(published.id.offset(), 1);
        topic.message(2).header("Tenant", "acme").header("tenant", "inc").try_publish().unwrap();
        topic.release();
        for mut stream in streams {
            let plain = stream.next().await.unwrap();
            assert!(plain.headers().is_empty());
            let full = stream.next().await.unwrap();
            assert_eq!((full.headers(), full.headers().len()), (&many(), 24));
            let two = stream.next().await.unwrap();
            assert_eq!(two.headers().text("TENANT"), Some("acme"), "the first one");
            let pairs: Vec<_> = two.headers().iter().collect();
            assert_eq!(pairs, [("Tenant", &b"acme"[..]), ("tenant", b"inc")]);
            for delivery in [plain, full, two] {
                delivery.ack().unwrap();
            }
        }
    });
}

/// G8, G11.
#[test]
fn headers_stay_through_redelivery_dead_letter_and_redrive() {
    every::runtime(|| async {
        let (broker, topic) = topic().await;
        let mut stream = topic.group("g").retry(Retry::immediately().max_attempts(2)).stream().await.unwrap();
        topic.message(7).headers(many()).publish().await.unwrap();
        for attempt in [1, 2] {
            let delivery = stream.next().await.unwrap();
            assert_eq!((delivery.attempt(), delivery.headers()), (attempt, &many()));
            delivery.nack("on purpose").unwrap();
        }
        let dead = broker.topic::<DeadLetter>("t.g.dead").open().await.unwrap();
        let letter = dead.group("clerk").stream().await.unwrap().next().await.unwrap();
        assert_eq!(letter.original_headers(), &many());
        assert_eq!(letter.message::<u64>().unwrap().headers(), &many());
        assert!(letter.headers().is_empty(), "the letter is a message of its own");
        letter.redrive().await.unwrap();
        letter.ack().unwrap();
        let back = stream.next().await.unwrap();
        assert_eq!((back.redrives(), back.headers()), (1, &many()));
        back.ack().unwrap();
    });
}

/// G15.
#[test]
fn a_header_that_cannot_be_one_refuses_the_message_and_gives_it_back() {
    every::runtime(|| async {
        let (_broker, topic) = topic().await;
        let error = topic.message(1).header("a name", "x").publish().await.unwrap_err();
        let expected = InvalidMessage::Header(InvalidHeader::Name);
        assert_eq!(error.to_string(), "not published: a header's name is 1 to 128 visible ASCII characters");
        assert!(matches!(error, PublishError::Invalid(1, why) if why == expected));
        // The first fault is told, and what follows does not mend it.
        let large = vec![0; Headers::MOST_BYTES + 1];
        let error = topic.message(2).header("large", large).header("", "").try_publish().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(matches!(error, PublishError::Invalid(2, InvalidMessage::Header(InvalidHeader::TooLarge))));
        assert_eq!(topic.stats().await.unwrap().accepted, 0);
    });
}

#[test]
fn a_message_with_headers_waits_for_room_as_any_other() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(1).open().await.unwrap();
        topic.publish(0).await.unwrap();
        assert!(matches!(topic.message(1).header("n", "1").try_publish(), Err(PublishError::Full(1))));
        let mut stream = topic.group("g").stream().await.unwrap();
        let mut waiting = Box::pin(topic.message(1).header("n", "1").publish());
        assert!(crate::kit::stays_pending(&mut waiting, 3).await);
        stream.next().await.unwrap().ack().unwrap();
        assert_eq!(waiting.await.unwrap().id.offset(), 1);
        assert_eq!(stream.next().await.unwrap().headers().text("N"), Some("1"));
    });
}
