//! Lets a test of topics in memory ask the same of topics on disk, see [`every::memory_and_disk`](crate::every).

use std::cell::RefCell;

use callboard::broker::{Codec, TopicBuilder};
use callboard::prelude::*;

use crate::durable::TempDir;

std::thread_local! {
    /// The directories of the run on this thread, if its topics are on disk. Whoever runs there runs on one thread.
    static DIRS: RefCell<Option<Vec<TempDir>>> = const { RefCell::new(None) };
}

/// Runs `run` with topics on disk; the directories go when it has ended.
pub(crate) fn enter(run: impl FnOnce()) {
    DIRS.set(Some(Vec::new()));
    run();
    drop(DIRS.take());
}

/// A broker, with a data directory of its own if topics are on disk.
pub(crate) async fn broker() -> Broker {
    let on_disk = DIRS.with_borrow(Option::is_some);
    if !on_disk {
        return Broker::start().unwrap();
    }
    let dir = TempDir::new("every");
    let builder = dir.builder();
    DIRS.with_borrow_mut(|dirs| dirs.as_mut().unwrap().push(dir));
    builder.open().await.unwrap()
}

/// A topic of that broker.
pub(crate) fn topic(broker: &Broker, name: &str) -> TopicBuilder<u64> {
    let topic = broker.topic::<u64>(name);
    if DIRS.with_borrow(Option::is_some) { topic.durable(Number) } else { topic }
}

pub(crate) struct Number;

impl Codec<u64> for Number {
    fn name(&self) -> &str {
        "number/1"
    }

    fn encode(&self, number: &u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        into.extend(number.to_le_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8], _: u32) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(bytes.try_into()?))
    }
}
