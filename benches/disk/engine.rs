//! The engine: one writer in this thread, without queue and wake-ups.

use std::path::PathBuf;
use std::sync::Arc;

use callboard::log::bench::Engine;
use callboard::log::{RealFs, Vfs};

use crate::clock::{Rounds, Samples, timed};
use crate::pages::Pages;
use crate::probe::{Probe, written};
use crate::report::{Target, bytes_rate, line, rate, skipped};

pub struct Bench {
    pub probe: Probe,
    pub dir: PathBuf,
    /// Rounds are so many times as long as they need be.
    pub times: usize,
}

/// Rounds of each comparison.
const ROUNDS: usize = 3;
const MIB: usize = 1 << 20;

impl Bench {
    pub fn engine(&self, name: &str) -> Engine {
        Engine::open(Arc::new(RealFs), &self.dir.join(name)).unwrap()
    }

    /// One whose journal has all its slots, so that none is made within a measured time.
    pub fn warm(&self, vfs: Arc<dyn Vfs>, name: &str) -> (Engine, u32) {
        let mut engine = Engine::open(vfs, &self.dir.join(name)).unwrap();
        let topic = engine.create(["warm".to_string()]).unwrap();
        for _ in 0..5 * 8 {
            engine.settle([topic]);
            engine.commit([topic], 8, &vec![1; MIB], false).unwrap();
        }
        engine.settle([topic]);
        engine.turn().unwrap();
        (engine, topic)
    }

    /// The target of a commit of so many messages.
    pub fn commits(&mut self) {
        let (mut engine, _) = self.warm(Arc::new(RealFs), "commits");
        let topic = engine.create(["settled".to_string()]).unwrap();
        for (size, count, commits, target) in [
            (100, 1, 1000, Target::None),
            (100, 16, 1000, Target::AtLeast(0.65)),
            (100, 256, 500, Target::AtLeast(0.55)),
            (100, 4096, 60, Target::None),
            (1024, 1, 1000, Target::None),
            (1024, 16, 500, Target::None),
            (1024, 256, 100, Target::None),
            (1024, 4096, 10, Target::None),
            (65536, 1, 300, Target::None),
        ] {
            let body = vec![3; size];
            let raw = commits.max(300) * self.times;
            let ours = || commit_all(&mut engine, topic, commits * self.times, count, &body, true);
            let rounds = Rounds::run(ROUNDS, || self.probe.commits(raw), ours);
            let name = format!("engine, {count} x {size} B");
            let (p50, p99) = (rounds.ours.within(0.5), rounds.ours.within(0.99));
            let messages = rounds.ours.per_second() * count as f64;
            let ratio = messages / rounds.raw.per_second() / count as f64;
            let of = format!(
                "x {count} x {} raw commits; p50 {p50:.0?}, p99 {p99:.0?}",
                rate(rounds.raw.per_second())
            );
            if (size, count) == (100, 1) {
                let of = |share| format!("x raw commit, {:.0?}", rounds.raw.within(share));
                let p50 = format!("{p50:.0?}");
                line(format!("{name}, p50"), p50, rounds.times(0.5), Target::AtMost(1.6), &of(0.5));
                line(
                    format!("{name}, p99"),
                    format!("{p99:.0?}"),
                    rounds.times(0.99),
                    Target::AtMost(2.5),
                    &of(0.99),
                );
            }
            line(name, rate(messages), ratio, target, &of);
        }
        self.large(&mut engine, topic);
        self.singly(&mut engine, topic);
        engine.close().unwrap();
    }

    /// Large messages, by the bytes that a disk takes in a second.
    fn large(&mut self, engine: &mut Engine, settled: u32) {
        let kept = engine.create(["kept".to_string()]).unwrap();
        let body = vec![3; 64 << 10];
        for (topic, what, target) in [(settled, "settled", 0.90), (kept, "kept", 0.40)] {
            for count in [16, 128] {
                let commits = 512 / count * self.times;
                let (mut raw, mut ours) = (0_f64, 0_f64);
                for _ in 0..ROUNDS {
                    raw = raw.max(self.probe.write());
                    let settles = topic == settled;
                    // What is kept is paid for when it moves: so that belongs to the time.
                    let took = timed(|| {
                        commit_all(engine, topic, commits, count, &body, settles);
                        if !settles {
                            engine.turn().unwrap();
                        }
                    });
                    ours = ours.max((commits * count * body.len()) as f64 / took.as_secs_f64());
                }
                engine.settle([kept]);
                engine.turn().unwrap();
                let (name, of) = (
                    format!("engine, {count} x 64 KiB, {what}"),
                    format!("x raw write, {}", bytes_rate(raw)),
                );
                line(name, bytes_rate(ours), ours / raw, Target::AtLeast(target), &of);
            }
        }
    }

    /// Messages that come one by one, as from many callers.
    fn singly(&mut self, engine: &mut Engine, topic: u32) {
        let body = [3; 100];
        for (count, commits) in [(256, 300), (4096, 40)] {
            let ours = || {
                engine.settle([topic]);
                let one = |_| timed(|| engine.commit_singly(topic, count, &body).unwrap());
                Samples::of((0..commits * self.times).map(one))
            };
            let rounds = Rounds::run(ROUNDS, || self.probe.commits(300), ours);
            let messages = rounds.ours.per_second() * count as f64;
            let ratio = messages / rounds.raw.per_second() / count as f64;
            let of = format!("x {count} x {} raw commits", rate(rounds.raw.per_second()));
            line(format!("engine, {count} appends of 100 B"), rate(messages), ratio, Target::None, &of);
        }
    }

    /// What it costs that the messages of a commit are of many topics.
    pub fn topics(&mut self) {
        let (mut engine, _) = self.warm(Arc::new(RealFs), "topics");
        let first = engine.create((0..256).map(|at| format!("topic-{at}"))).unwrap();
        let (all, body) = (first..first + 256, [3; 100]);
        let one = |engine: &mut Engine| commit_all(engine, first, 300 * self.times, 256, &body, true);
        let many = |engine: &mut Engine| {
            engine.settle(all.clone());
            Samples::of(
                (0..300 * self.times).map(|_| timed(|| engine.commit(all.clone(), 1, &body, true).unwrap())),
            )
        };
        let shared = std::cell::RefCell::new(&mut engine);
        let rounds = Rounds::run(ROUNDS, || one(&mut shared.borrow_mut()), || many(&mut shared.borrow_mut()));
        let (p50, ratio) = (format!("{:.0?}", rounds.ours.within(0.5)), rounds.times(0.5));
        let of = format!("x one topic, {:.0?}", rounds.raw.within(0.5));
        line("engine, one message for each of 256 topics, p50", p50, ratio, Target::AtMost(1.5), &of);
        engine.close().unwrap();
        self.amplification();
    }

    /// How much more than the payload is written.
    fn amplification(&self) {
        let (commits, body) = (4000 * self.times, [3; 100]);
        for (settles, what, target) in [(true, "settled", 1.25), (false, "kept", 2.4)] {
            let pages = Pages::default();
            let name = format!("pages-{what}");
            let (mut engine, _) = self.warm(Arc::new(pages.clone()), &name);
            let topic = engine.create(["written".to_string()]).unwrap();
            let (before, charged) = (pages.bytes(), written());
            commit_all(&mut engine, topic, commits, 256, &body, settles);
            engine.turn().unwrap();
            let payload = (commits * 256 * body.len()) as f64;
            let times = (pages.bytes() - before) as f64 / payload;
            let value = format!("{:.0} MB", (pages.bytes() - before) as f64 / 1e6);
            let kernel = charged.zip(written()).map_or(0.0, |(before, now)| (now - before) as f64 / payload);
            let of = format!("x payload, {:.0} MB, in pages; the kernel charges {kernel:.2}", payload / 1e6);
            line(format!("written, 256 x 100 B, {what}"), value, times, Target::AtMost(target), &of);
            engine.close().unwrap();
            std::fs::remove_dir_all(self.dir.join(name)).unwrap();
        }
        if written().is_none() {
            skipped("what the kernel charges", "it does not say, /proc/self/io is not there");
        }
    }
}

/// Commits to one topic, which is done with what it has now and then if `settles`.
pub fn commit_all(
    engine: &mut Engine,
    topic: u32,
    commits: usize,
    count: usize,
    body: &[u8],
    settles: bool,
) -> Samples {
    let mut since = 0;
    Samples::of((0..commits).map(|_| {
        timed(|| {
            if settles && since > 4 * MIB {
                engine.settle([topic]);
                since = 0;
            }
            since += count * body.len();
            engine.commit([topic], count, body, true).unwrap();
        })
    }))
}
