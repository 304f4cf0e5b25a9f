//! Events under the schedule explorer: whoever waits is woken, and hears or is told of everything that came before the end.

use futures::StreamExt as _;

use super::Teller;
use crate::base::sync::explore;
use crate::broker::Event;

fn heard(events: impl futures::Stream<Item = Event>) -> u64 {
    let count = |event| match event {
        Event::Missed { events } => events,
        _ => 1,
    };
    shuttle::future::block_on(events.map(count).fold(0, |sum, count| async move { sum + count }))
}

#[test]
fn a_listener_that_waits_is_woken_by_each_event_and_by_the_end() {
    explore(|| {
        let teller = Teller::new();
        let (events, other) = (teller.listen(1), teller.listen(8));
        let tells: Vec<_> = (0..2)
            .map(|_| {
                let teller = teller.clone();
                shuttle::thread::spawn(move || (0..2).for_each(|_| teller.tell(Event::TopicsQuiet)))
            })
            .collect();
        let closes = shuttle::thread::spawn(move || {
            tells.into_iter().for_each(|tells| tells.join().unwrap());
            teller.close();
        });
        let leaves = shuttle::thread::spawn(move || drop(other));
        assert_eq!(heard(events), 4);
        closes.join().unwrap();
        leaves.join().unwrap();
    });
}
