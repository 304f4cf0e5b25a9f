//! What the tests of the broker share.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use callboard::broker::GroupStats;
use callboard::prelude::*;
use callboard::sim::Sim;

/// Lets other tasks run first.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits until the group's counts are as `wanted`.
pub(crate) async fn until(group: &Group, wanted: impl Fn(&GroupStats) -> bool) -> GroupStats {
    loop {
        let stats = group.stats().await.unwrap();
        if wanted(&stats) {
            return stats;
        }
        // The simulator's clock stands still while somebody is ready.
        match Sim::current() {
            Some(sim) => sim.sleep(Duration::from_millis(1)).await,
            None => yield_now().await,
        }
    }
}
