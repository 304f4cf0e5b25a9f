//! Is each entry acked once, and not seen after that, whatever consumers on several threads do to each other?

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::server::{Reply, ServedDelivery, ServedError, ServedStream};
use futures::future::join_all;
use futures::{FutureExt as _, StreamExt as _};

use super::kept::TempDir;
use super::{LIMIT, builder, on_both};

const ENTRIES: usize = 300;

/// What all threads know.
struct Book {
    acked: Mutex<BTreeSet<String>>,
}

impl Book {
    fn is_full(&self) -> bool {
        self.acked.lock().unwrap().len() == ENTRIES
    }

    async fn handle(&self, delivery: ServedDelivery, chance: u64) {
        let id = delivery.id().to_string();
        match chance % 8 {
            0 => drop(delivery),
            1 => drop(delivery.nack().await),
            2 => drop(delivery.release().await),
            3 => drop(Box::pin(delivery.release()).now_or_never()),
            4 => drop(Box::pin(delivery.nack()).now_or_never()),
            _ => match delivery.ack().await {
                Ok(()) => assert!(self.acked.lock().unwrap().insert(id), "it was acked twice"),
                Err(error) => assert_eq!(error, ServedError::Lost),
            },
        }
    }
}

/// Consumes in some name until all is acked, and begins anew now and then.
async fn work(stream: ServedStream, name: &str, book: &Book, mut chance: impl FnMut() -> u64) {
    let group = stream.group("g").claim_after(Duration::from_millis(3)).prefetch(3);
    while !book.is_full() {
        let mut consumer = group.consumer(name).await.unwrap();
        for _ in 0..chance() % 20 {
            // One that looks once, or a few times, and goes, may have been handed something.
            let mut found = None;
            for _ in 0..=chance() % 3 {
                found = consumer.next().now_or_never();
                if found.is_some() {
                    break;
                }
                std::thread::yield_now();
            }
            let Some(found) = found else { continue };
            let delivery = found.unwrap().unwrap();
            let id = delivery.id().to_string();
            // Who acked it has been answered before this was handed over.
            assert!(delivery.attempt() > 0);
            assert!(
                !book.acked.lock().unwrap().contains(&id) || delivery.extend().await.is_err(),
                "it came again"
            );
            book.handle(delivery, chance()).await;
        }
    }
}

#[test]
fn what_many_fight_for_is_acked_once_by_one() {
    on_both(async || {
        let dir = TempDir::new();
        let server = builder().data(&dir.0).serve().await.unwrap();
        let (stream, book) = (server.stream("s"), Arc::new(Book { acked: Mutex::default() }));
        for _ in 0..ENTRIES {
            stream.publish(&[("f", "v")]).await.unwrap();
        }
        let threads = ["one", "one", "two", "three"].into_iter().zip(1..).map(|(name, mut seed)| {
            let (stream, book) = (stream.clone(), book.clone());
            let chance = move || {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed >> 3
            };
            smol::unblock(move || smol::block_on(work(stream, name, &book, chance)))
        });
        join_all(threads).await;
        let pending = server.command(["XPENDING", "s", "g", "-", "+", "9"]).await;
        assert_eq!(pending, Ok(Reply::List(Vec::new())));
        assert_eq!(server.command(["CLIENT", "LIST"]).await, Ok(Reply::Bytes(Vec::new())));
        assert_eq!(server.stop(LIMIT).await.cut_off, 0);
    });
}
