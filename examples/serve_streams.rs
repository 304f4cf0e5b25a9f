//! Shows a server inside an application: a client publishes orders to a stream, over a socket as any client of Redis does, and the
//! application's own consumers, who fall ill now and then, make of each a message of a topic. What nobody can make the group puts aside by
//! itself, and somebody hears of it.
//!
//! ```text
//!   client ──XADD──▶ stream orders ──group kitchen──▶ ann, bob ──▶ topic plates ──▶ group waiter
//!                                        └── after 3 times ──▶ stream orders.kitchen.dead ──group office──▶ eve
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod shared;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::prelude::*;
use callboard::server::{Reply, ServedConsumer, ServedDelivery, Server};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, TryStreamExt as _, future};
use smol::net::TcpStream;

const ORDERS: usize = 300;

fn main() -> ExitCode {
    shared::run(example())
}

async fn example() -> Result<(), Fault> {
    // With `.data(dir)` the orders are on the disk, and come again to the next process.
    let server = Server::builder().listen(SocketAddr::from(([127, 0, 0, 1], 0))).serve().await?;
    let broker = Broker::start()?;
    let plates = broker.topic::<String>("plates").capacity(16).open().await?;
    let served = Arc::new(Mutex::new(BTreeSet::new()));
    let tray = served.clone();
    let serve = move |plate: &Message<String>| {
        tray.lock().map_err(|_| Fault::new("the tray fell"))?.insert(plate.to_string());
        Ok(())
    };
    plates.group("waiter").run_fn(serve).await?;

    let kitchen = server.stream("orders").group("kitchen");
    let (ann, bob) = (kitchen.consumer("ann").await?, kitchen.consumer("bob").await?);
    // As a client of any language would tell it.
    let told = server.command(["CB.GROUP", "SET", "orders", "kitchen", "MAXDELIVERIES", "3"]).await?;
    assert_eq!(told, Reply::Status("OK".into()));
    let eve = server.stream("orders.kitchen.dead").group("office").consumer("eve").await?;
    let (ends, over) = async_channel::bounded(1);
    let day = Day { plates: plates.clone(), left: AtomicUsize::new(ORDERS), ends, over };
    future::try_join4(day.cook(ann), day.cook(bob), day.write_off(eve), order(server.local_addr())).await?;
    plates.settled().await?;

    let (served, dead) =
        (served.lock().map_or(0, |served| served.len()), server.stream("orders.kitchen.dead"));
    let dead = dead.browse(None, 10).await?;
    let reason = dead.first().and_then(|order| order.field("dead.reason")).unwrap_or_default();
    println!("{served} plates were served, and {} put aside: {}", dead.len(), reason.escape_ascii());
    assert_eq!((served, dead.len()), (ORDERS - 1, 1), "each order came to its end");
    let pending = server.command(["XPENDING", "orders", "kitchen"]).await?;
    let Reply::List(pending) = pending else { return Err(Fault::new("it is a list")) };
    assert_eq!(pending.first(), Some(&Reply::Number(0)), "nobody has any in hand");
    server.stop(Duration::from_secs(5)).await;
    assert_eq!(broker.shutdown().await.lost(), 0);
    Ok(())
}

/// What the cooks of a day share.
struct Day {
    plates: Topic<String>,
    /// Orders that have not come to their end.
    left: AtomicUsize,
    /// Closed when there are none.
    ends: async_channel::Sender<()>,
    over: async_channel::Receiver<()>,
}

impl Day {
    async fn cook(&self, orders: ServedConsumer) -> Result<(), Fault> {
        let orders = orders.take_until(self.over.recv()).map_err(Fault::from);
        orders.try_for_each_concurrent(4, |order| self.make(order)).await
    }

    async fn make(&self, order: ServedDelivery) -> Result<(), Fault> {
        let dish = String::from_utf8_lossy(order.field("dish").unwrap_or_default()).into_owned();
        match (dish.as_str(), order.attempt()) {
            ("phoenix", _) => return Ok(order.nack().await?),
            // Falls ill with it in hand: it comes again, to whoever is free.
            (dish, 1) if dish.ends_with('7') => return Ok(()),
            _ => {
                // First the effect, then the ack: who is killed in between makes it twice, and never not at all.
                self.plates.publish(dish).await?;
                order.ack().await?;
            }
        }
        self.done();
        Ok(())
    }

    async fn write_off(&self, orders: ServedConsumer) -> Result<(), Fault> {
        let orders = orders.take_until(self.over.recv()).map_err(Fault::from);
        let write_off = async |order: ServedDelivery| {
            order.ack().await?;
            self.done();
            Ok(())
        };
        orders.try_for_each(write_off).await
    }

    fn done(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.ends.close();
        }
    }
}

/// Orders as a client of Redis does, in any language: in one pipeline, and reads the replies.
async fn order(server: SocketAddr) -> Result<(), Fault> {
    let dish = |n: usize| if n == 13 { "phoenix".to_owned() } else { format!("pie-{n}") };
    let lines: String = (0..ORDERS).map(|n| format!("XADD orders * dish {}\r\n", dish(n))).collect();
    let mut client = TcpStream::connect(server).await?;
    client.write_all(format!("{lines}QUIT\r\n").as_bytes()).await?;
    let mut replies = String::new();
    client.read_to_string(&mut replies).await?;
    match replies.matches('$').count() {
        ORDERS => Ok(()),
        taken => Err(Fault::new(format!("{taken} orders were taken: {replies}"))),
    }
}
