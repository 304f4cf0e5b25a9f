//! How a durable topic is found in the log, or made there.
//!
//! What the log keeps of it beside its messages: its codec's name, whether it has keys, and its durability, so that it is not
//! opened as what it is not.

use std::sync::Arc;
use std::time::Duration;

use super::codec::Codec;
use super::disk::{Disk, Keeper, Stored, answered, blocking};
use super::record::{Clocks, Kept, recover};
use super::schedule::find_delayed;
use super::settings::{Durable, TopicSettings};
use super::topic_actor::Store;
use super::weight::{Weigher, weigh};
use super::window::Window;
use super::{Durability, MessageId, OpenError};
use crate::base::varint::{Take, put_bytes, put_u64};
use crate::base::{Name, whole_millis};
use crate::log::{LogError, Terms};
use crate::runtime::Rt;

/// A durable topic that is being opened.
pub(crate) struct Opening<'a, T> {
    pub(crate) codec: Arc<dyn Codec<T>>,
    pub(crate) durable: &'a Durable,
    pub(crate) settings: &'a TopicSettings,
    pub(crate) weigher: Option<Weigher<T>>,
}

/// What the log keeps of a topic, for us.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct About {
    pub(crate) codec: String,
    pub(crate) keyed: bool,
    pub(crate) durability: Durability,
    /// All before this one may have been handed out by a process that did not live to note it.
    pub(crate) unsure: u64,
}

impl About {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, self.codec.as_bytes());
        put_u64(&mut bytes, self.keyed.into());
        let interval = match self.durability {
            Durability::EveryPublish => 0,
            Durability::Interval(within) => u64::try_from(within.as_nanos()).unwrap_or(u64::MAX),
        };
        put_u64(&mut bytes, interval);
        put_u64(&mut bytes, self.unsure);
        bytes
    }

    pub(crate) fn of(bytes: &[u8]) -> Option<About> {
        let mut take = Take::new(bytes);
        let codec = std::str::from_utf8(take.sized()?).ok()?.to_string();
        let keyed = take.u64()? == 1;
        let durability = match take.u64()? {
            0 => Durability::EveryPublish,
            nanos => Durability::Interval(Duration::from_nanos(nanos)),
        };
        let unsure = take.u64().unwrap_or(0);
        Some(About { codec, keyed, durability, unsure })
    }
}

impl<T: Send + Sync + 'static> Opening<'_, T> {
    /// Finds the topic, or makes it, and reads what is there.
    pub(crate) async fn keep(self, disk: &Arc<Disk>, rt: &Rt, name: &Name) -> Result<Kept<T>, OpenError> {
        let Durable { codec, durability } = self.durable;
        let about = About {
            codec: codec.to_string(),
            keyed: self.settings.keyed,
            durability: *durability,
            unsure: 0,
        };
        let dedup = &self.settings.dedup;
        let (most_keys, key_millis) = (dedup.keys() as u64, whole_millis(dedup.time()));
        let terms =
            Terms { about: about.to_bytes(), keeps: self.settings.retain.is_some(), most_keys, key_millis };
        let mut stored = disk.claim(name.as_str(), terms.clone()).await?;
        let unsure = check(name, &stored, &about)?;
        if stored.state.terms.keeps != terms.keeps {
            let (done, set) = answered();
            let terms = Terms { keeps: terms.keeps, ..stored.state.terms.clone() };
            disk.log.set_terms(stored.number, terms, done);
            set.await.unwrap_or(Err(LogError::Closed))?;
        }
        let (codec, weigher) = (self.codec.clone(), self.weigher.clone());
        let (limit, ttl) = (self.settings.capacity_bytes, self.settings.ttl.map(whole_millis));
        let weight = move |value: &T, headers| match (&weigher, limit) {
            (Some(weigher), Some(limit)) => weigh(weigher, value, headers, limit).unwrap_or(limit as u64),
            _ => 0,
        };
        let delayed = find_delayed((disk, rt), (name, &mut stored), codec.clone(), weight.clone()).await?;
        let clocks = Clocks::of(rt);
        let window = self.window(&stored, clocks);
        let next_group = stored.state.next_group;
        let (log, number) = (disk.log.clone(), stored.number);
        let retains = self.settings.retain.is_some();
        let read = blocking(rt, "read a topic", move || {
            recover(&log, (number, &stored.state), &*codec, (clocks, ttl), (unsure, retains), &weight)
        });
        let recovered = read.await.ok_or(LogError::Closed)??;
        let (keeper, dedup) = (Keeper { disk: disk.clone(), number }, self.settings.dedup.clone());
        let last = recovered.last;
        let store = Store { keeper, durability: *durability, dedup, window, last };
        Ok(Kept { store, recovered, next_group, delayed })
    }

    /// The keys that the log remembers, with their ages.
    fn window(&self, stored: &Stored, clocks: Clocks) -> Window {
        let mut window = Window::default();
        for known in &stored.state.keys {
            // Of an id that was given the milliseconds don't say when it came in: then it did just now.
            let came = if known.seq.is_some() { clocks.millis } else { known.millis };
            let age = Duration::from_millis(clocks.millis.saturating_sub(came));
            let id = MessageId::at(known.offset, known.millis, known.seq);
            window.insert(&self.settings.dedup, known.key.clone().into(), id, clocks.now - age);
        }
        window
    }
}

/// Whether the topic is what it is opened as. Answers before where an earlier process may have handed out what is there.
fn check(name: &Name, stored: &Stored, asked: &About) -> Result<u64, OpenError> {
    let Some(is) = About::of(&stored.state.terms.about) else {
        let faults = vec!["it was written by another version of callboard".to_string()];
        return Err(OpenError::Settings { name: name.to_string(), faults });
    };
    let name = name.clone();
    if is.codec != asked.codec {
        return Err(OpenError::OtherCodec { name, is: is.codec, asked: asked.codec.clone() });
    }
    if is.keyed != asked.keyed {
        let (is, asked) = if is.keyed { ("with keys", "without") } else { ("without keys", "with some") };
        let faults = vec![format!("on disk it is {is}, and it was opened {asked}")];
        return Err(OpenError::Settings { name: name.to_string(), faults });
    }
    if is.durability != asked.durability {
        let (is, asked) = (Some(is.durability), Some(asked.durability));
        return Err(OpenError::OtherDurability { name, is, asked });
    }
    Ok(is.unsure)
}
