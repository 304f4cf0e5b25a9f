//! What the groups do, each with one kind of effect.

use std::future;
use std::mem;
use std::sync::Arc;
use std::task::Poll;

use callboard::prelude::*;

use crate::Work;
use crate::count::words;
use crate::line::{Line, Step};
use crate::pause::pause;

/// Answers the words of a line, which the group publishes.
pub(crate) fn parse(line: &Message<Line>, work: &Work) -> Result<Vec<String>, Fault> {
    let entered = work.faults.enter(Step::Parse, line);
    let words = words(line.text()).collect();
    entered.leave();
    line.close(Step::Parse);
    Ok(words)
}

/// Sees to it that lines come in the order of their keys.
pub(crate) async fn order(line: &Message<Line>, work: &Work) -> Result<(), Fault> {
    let _turn = work.order.begin(line);
    let entered = work.faults.enter(Step::Order, line);
    give_way().await;
    if entered.again {
        work.surplus.add(Step::Order, line.text());
    }
    work.counts.add(Step::Order, line.text());
    entered.leave();
    line.close(Step::Order);
    Ok(())
}

/// Counts lines.
pub(crate) fn audit(line: &Message<Line>, work: &Work) -> Result<(), Fault> {
    let entered = work.faults.enter(Step::Audit, line);
    if entered.again {
        work.surplus.add(Step::Audit, line.text());
    }
    work.counts.add(Step::Audit, line.text());
    entered.leave();
    line.close(Step::Audit);
    Ok(())
}

/// Counts words. What it counts is not its own: that would be gone with the first crash.
pub(crate) struct Counter {
    pub(crate) work: Arc<Work>,
}

impl Consumer<String> for Counter {
    async fn handle(&mut self, word: &Message<String>) -> Result<Outcome, Fault> {
        let Work { faults, counts, surplus, slow, .. } = &*self.work;
        let entered = faults.enter(Step::Count, word);
        if let Some(time) = slow {
            pause(*time).await;
        }
        if entered.again {
            surplus.add(Step::Count, word);
        }
        counts.add(Step::Count, word);
        entered.leave();
        Ok(Outcome::Ack)
    }
}

/// Lets others go first, so that two lines of a key that are handled at once meet, on one thread too.
async fn give_way() {
    let mut gave = false;
    future::poll_fn(|cx| {
        if mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
