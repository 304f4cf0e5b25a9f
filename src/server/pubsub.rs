//! Pub/Sub: who listens to which channels, and what a publish sends to whom. At most once, kept nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::client::Client;
use super::glob::matches;
use super::resp::{Aggregate, Protocol, Replies};

/// Clients by their ids.
type Listeners = BTreeMap<u64, Arc<Client>>;

/// Who listens to what.
///
/// Limit: each entry is one of some session's [`Interests`], which are bounded.
#[derive(Debug, Default)]
pub(super) struct PubSub {
    channels: BTreeMap<Vec<u8>, Listeners>,
    patterns: BTreeMap<Vec<u8>, Listeners>,
    /// Other channels, with names of their own: in a cluster each would be of one shard.
    shards: BTreeMap<Vec<u8>, Listeners>,
}

/// What one client listens to.
#[derive(Debug, Default)]
pub(super) struct Interests {
    /// Limit: [`Interests::MOST`] in all.
    pub(super) channels: BTreeSet<Vec<u8>>,
    pub(super) patterns: BTreeSet<Vec<u8>>,
    pub(super) shards: BTreeSet<Vec<u8>>,
}

impl Interests {
    /// The most channels and patterns of one client, of all kinds.
    pub(super) const MOST: usize = 100_000;

    pub(super) fn len(&self) -> usize {
        self.count(By::Name) + self.count(By::Shard)
    }

    /// How many a client is told that it listens to when it asks for one of these.
    pub(super) fn count(&self, by: By) -> usize {
        match by {
            By::Name | By::Pattern => self.channels.len() + self.patterns.len(),
            By::Shard => self.shards.len(),
        }
    }

    /// All of a kind.
    pub(super) fn all(&self, by: By) -> Vec<Vec<u8>> {
        let all = match by {
            By::Name => &self.channels,
            By::Pattern => &self.patterns,
            By::Shard => &self.shards,
        };
        all.iter().cloned().collect()
    }
}

/// Channels by name, or by pattern; or by name those of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Name,
    Pattern,
    Shard,
}

impl PubSub {
    /// Lets a client listen. What it listens to already changes nothing.
    pub(super) fn listen(&mut self, by: By, channel: &[u8], client: &Arc<Client>, own: &mut Interests) {
        let (all, own) = self.of(by, own);
        if own.insert(channel.to_vec()) {
            all.entry(channel.to_vec()).or_default().insert(client.id, client.clone());
        }
    }

    /// Lets a client listen no more.
    pub(super) fn leave(&mut self, by: By, channel: &[u8], client: &Client, own: &mut Interests) {
        let (all, own) = self.of(by, own);
        if own.remove(channel) {
            go(all, channel, client);
        }
    }

    /// A client has gone.
    pub(super) fn leave_all(&mut self, client: &Client, own: &mut Interests) {
        let Interests { channels, patterns, shards } = std::mem::take(own);
        channels.iter().for_each(|channel| go(&mut self.channels, channel, client));
        patterns.iter().for_each(|pattern| go(&mut self.patterns, pattern, client));
        shards.iter().for_each(|channel| go(&mut self.shards, channel, client));
    }

    fn of<'a>(
        &'a mut self,
        by: By,
        own: &'a mut Interests,
    ) -> (&'a mut BTreeMap<Vec<u8>, Listeners>, &'a mut BTreeSet<Vec<u8>>) {
        match by {
            By::Name => (&mut self.channels, &mut own.channels),
            By::Pattern => (&mut self.patterns, &mut own.patterns),
            By::Shard => (&mut self.shards, &mut own.shards),
        }
    }

    /// Sends a message to all who listen; answers how many copies that were.
    pub(super) fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        let mut sent = 0;
        if let Some(listeners) = self.channels.get(channel) {
            sent += send(listeners, &[b"message", channel, message]);
        }
        for (pattern, listeners) in &self.patterns {
            if matches(pattern, channel) {
                sent += send(listeners, &[b"pmessage", pattern, channel, message]);
            }
        }
        sent
    }

    /// As [`PubSub::publish`], in a channel of a shard.
    pub(super) fn publish_in_shard(&self, channel: &[u8], message: &[u8]) -> usize {
        self.shards.get(channel).map_or(0, |listeners| send(listeners, &[b"smessage", channel, message]))
    }

    /// Channels that somebody listens to, those that a pattern stands for.
    pub(super) fn channels(&self, by: By, pattern: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
        let names = self.all(by).keys().map(Vec::as_slice);
        names.filter(move |name| pattern.is_none_or(|pattern| matches(pattern, name)))
    }

    /// How many listen to a channel.
    pub(super) fn listeners(&self, by: By, channel: &[u8]) -> usize {
        self.all(by).get(channel).map_or(0, BTreeMap::len)
    }

    fn all(&self, by: By) -> &BTreeMap<Vec<u8>, Listeners> {
        match by {
            By::Name => &self.channels,
            By::Pattern => &self.patterns,
            By::Shard => &self.shards,
        }
    }

    /// How many channels, and how many patterns, somebody listens to.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.channels.len(), self.patterns.len())
    }
}

/// Takes a client from those who listen to a channel.
fn go(all: &mut BTreeMap<Vec<u8>, Listeners>, channel: &[u8], client: &Client) {
    if let Some(listeners) = all.get_mut(channel) {
        listeners.remove(&client.id);
        if listeners.is_empty() {
            all.remove(channel);
        }
    }
}

/// Writes a message once for each protocol that somebody speaks, and hands it to each; answers how many will be sent it.
fn send(listeners: &Listeners, parts: &[&[u8]]) -> usize {
    let mut written: [Option<Arc<[u8]>>; 2] = [None, None];
    let ([two, three], mut sent) = (&mut written, 0);
    for client in listeners.values() {
        let protocol = client.shown().protocol;
        let slot = if protocol == Protocol::Resp3 { &mut *three } else { &mut *two };
        let message = slot.get_or_insert_with(|| {
            let mut bytes = Vec::new();
            let mut replies = Replies::new(&mut bytes, protocol);
            replies.begin(Aggregate::Push, parts.len());
            parts.iter().for_each(|part| replies.bulk(part));
            bytes.into()
        });
        sent += usize::from(client.send(message.clone()));
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Moment;

    fn client(id: u64) -> Arc<Client> {
        Arc::new(Client::new(id, [None, None], Moment::ZERO, 1 << 20))
    }

    fn heard(client: &Client) -> String {
        let mut out = Vec::new();
        client.take(&mut out, usize::MAX);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_listener_hears_once_by_name_and_once_for_each_pattern() {
        let (mut all, one, two) = (PubSub::default(), client(1), client(2));
        let (mut ones, mut twos) = (Interests::default(), Interests::default());
        two.shown().protocol = Protocol::Resp3;
        all.listen(By::Name, b"news", &one, &mut ones);
        all.listen(By::Name, b"news", &one, &mut ones);
        all.listen(By::Pattern, b"n*", &two, &mut twos);
        all.listen(By::Pattern, b"*s", &two, &mut twos);
        assert_eq!(all.publish(b"news", b"hi"), 3);
        assert_eq!(all.publish(b"olds", b"hi"), 1);
        assert_eq!(heard(&one), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
        let texts = heard(&two);
        assert_eq!(texts.matches(">4\r\n$8\r\npmessage\r\n").count(), 3, "{texts}");
    }

    #[test]
    fn one_who_leaves_hears_nothing_and_leaves_nothing_behind() {
        let (mut all, one) = (PubSub::default(), client(1));
        let mut own = Interests::default();
        for channel in [b"a", b"b", b"c"] {
            all.listen(By::Name, channel, &one, &mut own);
            all.listen(By::Pattern, channel, &one, &mut own);
            all.listen(By::Shard, channel, &one, &mut own);
        }
        assert_eq!((all.publish_in_shard(b"a", b""), all.listeners(By::Shard, b"a")), (1, 1));
        all.leave(By::Shard, b"a", &one, &mut own);
        assert_eq!((all.publish_in_shard(b"a", b""), all.listeners(By::Shard, b"a")), (0, 0));
        all.leave(By::Name, b"a", &one, &mut own);
        all.leave(By::Name, b"never", &one, &mut own);
        assert_eq!((all.publish(b"a", b""), own.len()), (1, 7));
        all.leave_all(&one, &mut own);
        assert_eq!((all.publish(b"b", b""), own.len(), all.counts()), (0, 0, (0, 0)));
        assert_eq!(all.channels(By::Shard, None).count(), 0);
    }
}
