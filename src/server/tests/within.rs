//! Is what the log refused not done, for who asks from within the process either?

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};

use super::refused::Stage;
use crate::server::{ServedError, ServedStream};

#[test]
fn what_has_no_room_is_not_done_and_a_consumer_goes_on_behind_it() {
    let mut stage = Stage::new();
    let stream = ServedStream::new(Arc::downgrade(&stage.place.shared), b"s");
    smol::block_on(async {
        let group = stream.group("g").claim_after(Duration::ZERO);
        let mut consumer = group.consumer("c").await.unwrap();
        assert!(consumer.next().now_or_never().is_none());
        stage.refuse_next();
        // What it is handed it hears of only if that is so.
        assert_eq!(stream.publish(&[("f", "v")]).await, Err(ServedError::NotWritten));
        assert_eq!(consumer.next().await.unwrap().unwrap_err(), ServedError::NotWritten);
        let full = stream.publish(&[("f", "v")]).await.unwrap_err();
        assert!(matches!(full, ServedError::Refused { reply } if reply.starts_with("MISCONF")));
        let refused = consumer.next().await.unwrap().unwrap_err();
        assert!(matches!(refused, ServedError::Refused { reply } if reply.starts_with("MISCONF")));
        stage.at_desk(|desk| desk.try_again());
        let id = stream.publish(&[("f", "w")]).await.unwrap();
        let delivery = consumer.next().await.unwrap().unwrap();
        assert_eq!((delivery.id(), delivery.attempt()), (id, 1));
        // An ack that is refused is none.
        stage.refuse_next();
        assert_eq!(delivery.ack().await, Err(ServedError::NotWritten));
        stage.at_desk(|desk| desk.try_again());
        let again = consumer.next().await.unwrap().unwrap();
        assert_eq!((again.id(), again.attempt()), (id, 2));
        again.ack().await.unwrap();
        assert_eq!(stream.browse(None, 9).await.unwrap().len(), 1);
    });
    stage.end();
}
