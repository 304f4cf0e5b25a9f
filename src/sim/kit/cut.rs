//! Futures that are given up.

use std::future::Future;
use std::task::Poll;

/// Polls `future` up to `polls` times, then drops it; `None` then, else what it answered.
///
/// It is polled again whether or not it was woken, so that each count of polls comes to its end. What is left in place
/// afterwards is what a `select!` or a time-out would leave.
///
/// # Cancel safety
/// Dropping this drops `future`.
///
/// # Examples
/// ```
/// use callboard::sim::{self, cut};
///
/// sim::seeds(0..20, |broker| async move {
///     let words = broker.topic::<&str>("words").capacity(1).open().await.unwrap();
///     for polls in 0..5 {
///         if cut(polls, words.publish("one")).await.is_some() {
///             let waits = cut(polls, words.publish("no room")).await;
///             assert!(waits.is_none());
///         }
///     }
/// });
/// ```
pub async fn cut<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}
