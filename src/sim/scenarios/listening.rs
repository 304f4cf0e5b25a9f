//! Listeners that are slow, come late and leave early, while everything fails: what they missed is counted, at its place.
//!
//! That what is told is what was done is P25, in every scenario. Here: the buffers.

use futures::StreamExt as _;
use futures::channel::oneshot;

use super::competing::{open, publish_all};
use super::stage::{Ended, Stage, millis};
use crate::broker::{Event, Events};

/// What one listener yields in the end.
type Heard = oneshot::Receiver<Vec<Event>>;

pub(super) async fn run(stage: Stage) {
    let broker = stage.broker();
    // It keeps all: what the others are held against.
    let all = broker.events_with_capacity(1 << 20);
    let listeners: Vec<(Ended, Heard)> = (0..3).map(|_| listen(&stage)).collect();
    let topic = broker.topic::<u64>("t").capacity(6).open().await.unwrap();
    for group in ["g", "h"] {
        open(&stage, &topic, group).await;
    }
    stage.storm();
    // One that leaves again, with what it has not heard.
    let leaves = broker.events_with_capacity(stage.below(3));
    publish_all(&stage, &topic, 40).await;
    drop(leaves);
    let late = broker.events_with_capacity(1);
    stage.calm().await;
    broker.shutdown().await;
    let all: Vec<Event> = all.collect().await;
    for (ended, heard) in listeners {
        ended.await;
        if let Err(wrong) = is_part(&heard.await.unwrap(), &all) {
            stage.is_wrong(format_args!("G2: a listener heard {wrong}"));
        }
    }
    let late: Vec<Event> = late.collect().await;
    let from = all.len() - late.iter().map(|event| missed(event).unwrap_or(1)).sum::<usize>();
    if let Err(wrong) = is_part(&late, &all[from..]) {
        stage.is_wrong(format_args!("G2: a listener that came late heard {wrong}"));
    }
}

fn listen(stage: &Stage) -> (Ended, Heard) {
    let (tell, heard) = oneshot::channel();
    let capacity = stage.below(4);
    stage.draw(format_args!("a listener keeps {capacity}"));
    let (kept, mut events): (Stage, Events) = (stage.clone(), stage.broker().events_with_capacity(capacity));
    let ended = stage.spawn("listener", async move {
        let mut heard = Vec::new();
        while let Some(event) = events.next().await {
            heard.push(event);
            kept.a_while(millis(40)).await;
        }
        let _ = tell.send(heard);
    });
    (ended, heard)
}

fn missed(event: &Event) -> Option<usize> {
    match event {
        Event::Missed { events } => Some(*events as usize),
        _ => None,
    }
}

/// Whether these are all events, in order, but for what is said to be missed where it is.
fn is_part(heard: &[Event], all: &[Event]) -> Result<(), String> {
    let mut rest = all;
    for event in heard {
        let (told, left) = match missed(event) {
            Some(missed) if missed <= rest.len() => rest.split_at(missed),
            None if !rest.is_empty() => rest.split_at(1),
            _ => return Err(format!("more than there is: {event:?}")),
        };
        if missed(event).is_none() && told != std::slice::from_ref(event) {
            return Err(format!("{event:?} where {told:?} was told"));
        }
        rest = left;
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("nothing of the last {} events", rest.len())) }
}
