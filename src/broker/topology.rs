//! A broker as data: its topics and groups, who sends what where, and their numbers.

mod gather;
mod mermaid;

pub(crate) use gather::Boxed;

use super::{ConsumerStats, GroupStats, TopicStats};
use crate::base::Name;

/// Shows a broker's topics, groups and consumers, where messages go, and the numbers of each; made by
/// [`Broker::topology`](super::Broker::topology).
///
/// How consistent it is: each topic's numbers are of one instant, and so are each group's, which balance. All are asked
/// at once and answer as soon as they come to it, so two of them may lie apart by what happened meanwhile: a message may
/// show in a topic and not yet in its group, or in both a group and the dead-letter topic that it just moved to. The
/// consumers of a group are looked at right after the group. What was deleted meanwhile is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Topology {
    /// Whether the broker is being shut down.
    pub draining: bool,
    /// Its topics, dead-letter topics included, sorted by name.
    pub topics: Vec<TopicNode>,
}

/// Shows one topic of a [`Topology`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TopicNode {
    /// Its name.
    pub topic: Name,
    /// The type of its messages, for people.
    pub payload: &'static str,
    /// Its counts.
    pub stats: TopicStats,
    /// Its groups, sorted by name.
    pub groups: Vec<GroupNode>,
    /// Tells it from another of its name, before or after it.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) number: u64,
}

/// Shows one group of a [`Topology`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GroupNode {
    /// Its name.
    pub group: Name,
    /// Its counts.
    pub stats: GroupStats,
    /// What each of its consumers has and did, in the order in which they joined.
    pub consumers: Vec<ConsumerStats>,
    /// The topic that its dead letters go to.
    pub dead_letters: Name,
    /// The topics that its handlers publish to by [`forward_to`](super::GroupBuilder::forward_to).
    pub forwards_to: Vec<Name>,
    /// Tells it from another of its name in the same topic.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) number: u64,
}

/// Where messages go from a group.
struct Edge<'a> {
    to: &'a Name,
    text: String,
}

impl GroupNode {
    /// All ways out of it: what draws or follows them asks here.
    fn edges(&self) -> impl Iterator<Item = Edge<'_>> {
        let text = match self.stats.dead_lettered {
            0 => "dead letters".to_owned(),
            1 => "1 dead letter".to_owned(),
            letters => format!("{letters} dead letters"),
        };
        let onward = self.forwards_to.iter().map(|to| Edge { to, text: "forwards".to_owned() });
        std::iter::once(Edge { to: &self.dead_letters, text }).chain(onward)
    }
}

impl Topology {
    /// Finds a topic.
    pub fn topic(&self, topic: &str) -> Option<&TopicNode> {
        self.topics.iter().find(|node| node.topic.as_str() == topic)
    }

    /// Finds a group.
    pub fn group(&self, topic: &str, group: &str) -> Option<&GroupNode> {
        self.topic(topic)?.groups.iter().find(|node| node.group.as_str() == group)
    }

    /// Draws it as a [Mermaid](https://mermaid.js.org) flowchart, which GitHub and many editors show as a picture.
    ///
    /// Topics and groups carry their numbers; dotted arrows lead to the topics for dead letters; what needs a look, a
    /// failed group, a stuck handler, parked messages, an open breaker, blocked publishers, is framed in red. Nodes are in the order of
    /// their names. Names are text in it, whatever characters they have.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").open().await?;
    /// orders.group("billing").consumers(4).run(async |_| Ok(())).await?;
    /// let picture = broker.topology().await?.to_mermaid();
    /// assert!(picture.starts_with("flowchart LR\n"));
    /// println!("{picture}");
    /// # Ok(()) }
    /// ```
    pub fn to_mermaid(&self) -> String {
        mermaid::draw(self)
    }

    /// Writes it as JSON, with the names of the fields here. Times are whole milliseconds and their fields end in `_ms`;
    /// states are words in lower case. Needs the feature `serde`.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = Broker::start()?;
    /// let orders = broker.topic::<u32>("orders").open().await?;
    /// orders.publish(7).await?;
    /// let json: serde_json::Value = serde_json::from_str(&broker.topology().await?.to_json())?;
    /// assert_eq!(json["topics"][0]["stats"]["accepted"], 1);
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "serde")]
    pub fn to_json(&self) -> String {
        match serde_json::to_string(self) {
            Ok(json) => json,
            // Numbers, texts and lists can be written, and to a string.
            Err(error) => panic!("callboard bug: a topology is not JSON: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
