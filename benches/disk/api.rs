//! The same through the broker: tasks that publish at the same time, each waiting for its own message.

use std::time::{Duration, Instant};

use callboard::broker::{Broker, Durability, Raw, Topic};

use crate::engine::Bench;
use crate::report::{Target, line, rate};

impl Bench {
    pub fn api(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dir = self.dir.join("api");
        let (broker, topics) = runtime.block_on(async {
            let broker = Broker::builder().data_dir(&dir).open().await.unwrap();
            let each = Durability::EveryPublish;
            let within = Durability::Interval(Duration::from_millis(50));
            let mut topics = Vec::new();
            for (name, durability) in [("each", each), ("within", within)] {
                let topic = broker.topic::<Vec<u8>>(name).capacity(16384).durable(Raw).durability(durability);
                topics.push(topic.open().await.unwrap());
            }
            // Until all slots of the journal are there.
            for _ in 0..300 {
                topics[0].publish(vec![1; 1 << 20]).await.unwrap();
            }
            (broker, topics)
        });
        for (tasks, publishes, target) in [
            (1, 1000, Target::None),
            (16, 500, Target::AtLeast(0.35)),
            (256, 200, Target::AtLeast(0.28)),
            (4096, 100, Target::None),
        ] {
            let best = |topic: &Topic<Vec<u8>>| {
                let run = |_| runtime.block_on(publish(topic, tasks, publishes * self.times));
                (0..3).map(run).fold(0_f64, f64::max)
            };
            let ours = best(&topics[0]);
            let raw = self.probe.commits(500);
            let raw = raw.per_second().max(self.probe.commits(500).per_second());
            let of = format!("x {tasks} x {} raw commits", rate(raw));
            line(
                format!("publish by {tasks} tasks, 100 B"),
                rate(ours),
                ours / raw / tasks as f64,
                target,
                &of,
            );
            if tasks == 4096 {
                line(
                    "the same, in millions a second",
                    rate(ours),
                    ours / 1e6,
                    Target::AtLeast(4.0),
                    "M/s on two cores",
                );
            }
            let ours = best(&topics[1]);
            line(
                format!("publish by {tasks} tasks, Interval 50 ms"),
                rate(ours),
                ours / 1e6,
                Target::None,
                "M/s",
            );
        }
        runtime.block_on(broker.shutdown());
    }
}

/// Messages a second.
async fn publish(topic: &Topic<Vec<u8>>, tasks: usize, each: usize) -> f64 {
    let begin = Instant::now();
    let one = |topic: Topic<Vec<u8>>| async move {
        for _ in 0..each {
            topic.publish(vec![3; 100]).await.unwrap();
        }
    };
    let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(one(topic.clone()))).collect();
    let many = tasks.len();
    for task in tasks {
        task.await.unwrap();
    }
    (many * each) as f64 / begin.elapsed().as_secs_f64()
}
