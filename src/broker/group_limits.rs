//! What a group may be told not to exceed.

use std::sync::Arc;

use super::{Breaker, GroupBuilder, RateLimit};

impl<T: Send + Sync + 'static> GroupBuilder<T> {
    /// Sets how many messages all consumers of the group may hold together, those not begun included. Default: no limit
    /// but the consumers' [`prefetch`](GroupBuilder::prefetch); at most 16,777,216.
    ///
    /// It bounds what is under way at a time, whoever does it: handlers, streams, and consumers that are added later. With
    /// fewer than there are consumers, some have nothing to do.
    pub fn max_in_flight(self, messages: u32) -> GroupBuilder<T> {
        self.set(|settings| settings.max_in_flight = Some(messages))
    }

    /// Sets how many messages the group may begin in a time. Default: no limit.
    ///
    /// Every attempt counts, retries too. It can be changed while the group runs:
    /// [`Group::set_rate_limit`](super::Group::set_rate_limit). What waits for it is waited for by [`Topic::settled`](super::Topic::settled), and by a shutdown up to its
    /// timeout.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::RateLimit;
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let mails = broker.topic::<u32>("mails").open().await?;
    /// let sender = mails.group("sender").rate_limit(RateLimit::per_second(100).burst(1));
    /// let sender = sender.run_fn(|_| Ok(())).await?;
    /// mails.publish_all(0..10).await?;
    /// mails.settled().await?; // in 90 ms or more: after the first, one in 10 ms
    /// sender.set_rate_limit(None).await?;
    /// # Ok(()) }
    /// ```
    pub fn rate_limit(self, limit: RateLimit) -> GroupBuilder<T> {
        self.set(|settings| settings.rate_limit = Some(limit))
    }

    /// Tells what a message takes of the [`rate_limit`](GroupBuilder::rate_limit): bytes, recipients, rows. Default: each takes
    /// one.
    ///
    /// Where [`RateLimit`] says messages, it then means these. A message goes as soon as there is one, and the next one
    /// waits until what it took is paid, so that none is too heavy; in any window the group hands out at most what
    /// [`RateLimit`] says, and what the last message weighs beside. One that weighs 0 goes with the next that is let
    /// through. The function runs in the group's own task and must be quick; where it panics the log says so, and the
    /// message takes the whole burst. Of a group that is open it stays as it is.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::RateLimit;
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let images = broker.topic::<Vec<u8>>("images").open().await?;
    /// let uplink = RateLimit::per_second(1_000_000).burst(10_000);
    /// images.group("upload").rate_limit(uplink).rate_by(Vec::len).run_fn(|_| Ok(())).await?;
    /// images.publish_all((0..10).map(|_| vec![0; 10_000])).await?;
    /// images.settled().await?; // in 80 ms or more: 100,000 bytes, the first and the last 10,000 at once
    /// # Ok(()) }
    /// ```
    pub fn rate_by(mut self, weight: impl Fn(&T) -> usize + Send + Sync + 'static) -> GroupBuilder<T> {
        self.weigher = Some(Arc::new(weight));
        self.set(|settings| settings.weighed = true)
    }

    /// Stops the group for a while when all that comes of it is failures. Default: no breaker.
    ///
    /// Without one, a handler that fails for every message gives up all of them, one after the other. While it is open,
    /// what waits is still waited for by [`Topic::settled`](super::Topic::settled), and by a shutdown up to its timeout.
    /// [`GroupStats::breaker`](super::GroupStats::breaker) shows what it is at.
    ///
    /// # Examples
    /// ```
    /// use callboard::broker::{Breaker, BreakerState};
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").open().await?;
    /// let billing = orders.group("billing").retry(Retry::none()).breaker(Breaker::after(3));
    /// let billing = billing.run_fn(|_| Err(Fault::new("the database is gone"))).await?;
    /// orders.publish_all(0..100).await?;
    /// let stats = loop {
    ///     let stats = billing.stats().await?;
    ///     if stats.breaker.is_some_and(|breaker| breaker.state == BreakerState::Open) {
    ///         break stats;
    ///     }
    ///     tokio::task::yield_now().await;
    /// };
    /// assert!(stats.backlog >= 90, "few were given up, the rest waits");
    /// # Ok(()) }
    /// ```
    pub fn breaker(self, breaker: Breaker) -> GroupBuilder<T> {
        self.set(|settings| settings.breaker = Some(breaker))
    }
}
