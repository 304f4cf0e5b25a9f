//! What the files of this suite share.

use callboard::broker::DeliveryStream;
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::StreamExt as _;
use futures::channel::oneshot;
use tokio::runtime::Builder;

use crate::every;

/// A broker on the runtime that the test runs in, and its topic `numbers`.
pub(super) async fn open() -> (Broker, Topic<u64>) {
    let broker = crate::disk::broker().await;
    let topic = crate::disk::topic(&broker, "numbers").open().await.unwrap();
    (broker, topic)
}

pub(super) async fn next(stream: &mut DeliveryStream<u64>) -> Delivery<u64> {
    stream.next().await.unwrap()
}

/// The payload, and the number of the attempt.
pub(super) fn value(delivery: &Delivery<u64>) -> (u64, u32) {
    (***delivery, delivery.attempt())
}

/// Runs `task` to its end on a current-thread runtime of its own, which ends right after it; under a seed, where real
/// threads have no place, as a task of its own.
pub(super) async fn elsewhere<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> T {
    if Sim::current().is_some() {
        return every::spawn("elsewhere", task).await;
    }
    let (done, end) = oneshot::channel();
    let thread = std::thread::Builder::new().spawn(move || {
        let tokio = Builder::new_current_thread().enable_all().build().unwrap();
        let output = tokio.block_on(task);
        drop(tokio);
        // Whoever waited may be gone.
        let _ = done.send(output);
    });
    // Dropped without a word where the task panicked.
    match end.await {
        Ok(output) => output,
        Err(_) => std::panic::resume_unwind(thread.unwrap().join().unwrap_err()),
    }
}
