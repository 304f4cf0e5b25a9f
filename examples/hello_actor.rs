//! Shows a counter that three tasks share without a lock: each adds to it, one asks for the sum, and a stop hands
//! back what came too late to be counted.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod shared;

use std::process::ExitCode;

use callboard::prelude::*;
use futures::future::try_join_all;

/// The state. Only its own handler touches it, one message at a time.
struct Counter {
    sum: u64,
}

/// What the counter understands. A question carries the port for its answer.
enum Count {
    Add(u64),
    Sum(Reply<u64>),
}

impl Actor for Counter {
    type Message = Count;

    async fn handle(&mut self, message: Count, _: &mut Context<Count>) -> Result<(), Fault> {
        match message {
            Count::Add(n) => self.sum += n,
            // Whoever asked may have stopped waiting; that is no fault of ours.
            Count::Sum(reply) => drop(reply.send(self.sum)),
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    let counter = System::start()?.spawn(Counter { sum: 0 });

    // An address is cheap to clone. `send` waits while the mailbox is full, so nobody can flood the counter.
    let adders = (0..3).map(|_| {
        let counter = counter.clone();
        async move {
            for n in 1..=1000 {
                counter.send(Count::Add(n)).await.map_err(|_| Fault::new("the counter is gone"))?;
            }
            Ok::<(), Fault>(())
        }
    });
    try_join_all(adders).await?;

    let sum = counter.ask(Count::Sum).await.map_err(|error| Fault::new(error.to_string()))?;
    println!("the sum of three times 1 to 1000 is {sum}");

    // From here on the counter refuses messages. What it accepted and did not handle comes back.
    let rest = counter.stop_now().await;
    let ended = counter.ended().await;
    println!("{} {}, with {} messages handed back", ended.name, ended.exit, rest.len());

    let refused = counter.send(Count::Add(1)).await.is_err();
    if sum != 3 * 500_500 || !rest.is_empty() || !refused {
        return Err(Fault::new("the counter did not count as it should"));
    }
    Ok(())
}
