//! Shows streams and sinks at every door: a stream is forwarded into a topic, two groups are pulled as streams and
//! acked by hand, an actor is fed by one of them, and by a sink. Everyone waits for the slowest; nothing piles up.
//!
//! ```text
//!   stream ──forward──▶ topic readings (8 places) ──┬──▶ group alarms ──4 at a time──▶ topic alarms ──▶ stream
//!                                                   └──▶ group chart ──attached to──▶ actor ◀──sink── stream
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod shared;

use std::process::ExitCode;

use callboard::broker::DeliveryStream;
use callboard::prelude::*;
use futures::{StreamExt as _, TryStreamExt as _, future, stream};

const READINGS: u32 = 200;

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    let broker = Broker::start()?;
    let readings = broker.topic::<u32>("readings").capacity(8).open().await?;
    let alarms = broker.topic::<u32>("alarms").open().await?;

    // An actor's messages may come from a stream that it attaches as it starts...
    let deliveries = readings.group("chart").stream().await?;
    let chart = System::start()?.spawn(Chart { source: Some(deliveries), highest: 0 });

    // A stream of deliveries is a stream like any other. First the effect, then the ack: a delivery that is dropped
    // in between, with the future or by a panic, comes again.
    let pulled = readings.group("alarms").stream().await?.take(READINGS as usize).map(Ok::<_, Fault>);
    let watch = pulled.try_for_each_concurrent(4, async |reading| {
        if **reading >= 190 {
            alarms.publish(**reading).await?;
        }
        Ok(reading.ack()?)
    });

    // The stream in: `forward` waits whenever the eight places are taken.
    let source = stream::iter(0..READINGS).map(|n| Ok(n * 7 % READINGS));
    let feed = async { Ok(source.forward(readings.sink()).await?) };
    future::try_join(feed, watch).await?;
    readings.settled().await?;

    // ... or through a sink.
    let by_hand = stream::iter([300, 250]).map(|degrees| Ok(Entry::ByHand(degrees)));
    by_hand.forward(chart.sink()).await?;

    let highest = chart.ask(Entry::Highest).await?;
    let mut reader = alarms.group("reader").stream().await?.take(10);
    let mut raised = Vec::new();
    while let Some(alarm) = reader.next().await {
        raised.push(**alarm);
        alarm.ack()?;
    }
    raised.sort_unstable();
    println!("the highest of {READINGS} readings and two by hand is {highest}, alarms at {raised:?}");
    assert_eq!(highest, 300, "what the actor was fed");
    assert_eq!(raised, (190..200).collect::<Vec<_>>(), "what was pulled");
    assert_eq!(broker.shutdown().await.lost(), 0, "everything was acked");
    Ok(())
}

/// Keeps the highest reading. Its readings come as deliveries, and are acked once they are in the chart.
struct Chart {
    source: Option<DeliveryStream<u32>>,
    highest: u32,
}

enum Entry {
    Reading(Delivery<u32>),
    ByHand(u32),
    Highest(Reply<u32>),
}

impl Actor for Chart {
    type Message = Entry;

    async fn started(&mut self, context: &mut Context<Entry>) -> Result<(), Fault> {
        self.source.take().map_or(Ok(()), |readings| Ok(context.attach(readings.map(Entry::Reading))?))
    }

    async fn handle(&mut self, entry: Entry, _: &mut Context<Entry>) -> Result<(), Fault> {
        match entry {
            Entry::Reading(reading) => {
                self.highest = self.highest.max(**reading);
                reading.ack()?;
            }
            Entry::ByHand(degrees) => self.highest = self.highest.max(degrees),
            Entry::Highest(reply) => drop(reply.send(self.highest)),
        }
        Ok(())
    }
}
