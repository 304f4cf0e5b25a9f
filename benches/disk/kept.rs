//! What was kept: reading it, finding it again, getting rid of it.

use callboard::log::bench::Engine;

use crate::clock::timed;
use crate::engine::{Bench, commit_all};
use crate::probe::{forget, space};
use crate::report::{Target, bytes_rate, line, rate, skipped};

const MIB: usize = 1 << 20;

impl Bench {
    pub fn read(&mut self) {
        for (size, commits) in [(100, 4096), (1024, 512)] {
            let name = format!("read-{size}");
            let mut engine = self.engine(&name);
            let topic = engine.create(["read".to_string()]).unwrap();
            commit_all(&mut engine, topic, commits, 256, &vec![3; size], false);
            let records = (commits * 256) as u64;
            let best =
                |engine: &Engine| (0..5).map(|_| read_all(engine, topic, records)).fold(f64::MAX, f64::min);
            let warm = best(&engine);
            line(
                format!("read from the journal, warm, {size} B"),
                rate(records as f64 / warm),
                records as f64 / warm / 1e6,
                Target::None,
                "M/s",
            );
            engine.turn().unwrap();
            let warm = best(&engine);
            let (per_second, bytes) = (records as f64 / warm, (records as usize * size) as f64);
            let read = format!("read, warm, {size} B");
            match size {
                100 => line(
                    read,
                    rate(per_second),
                    per_second / 1e6,
                    Target::AtLeast(60.0),
                    "M/s, checksums checked",
                ),
                _ => line(
                    read,
                    bytes_rate(bytes / warm),
                    bytes / warm / 1e9,
                    Target::AtLeast(8.0),
                    "GB/s, checksums checked",
                ),
            }
            let segments = self.dir.join(&name).join("topics").join("00000000");
            match self.probe.read_cold() {
                Some(raw) if forget(&segments) => {
                    let cold = bytes / read_all(&engine, topic, records);
                    let of = format!("x raw cold read, {}", bytes_rate(raw));
                    line(
                        format!("read, cold, {size} B"),
                        bytes_rate(cold),
                        cold / raw,
                        Target::AtLeast(0.5),
                        &of,
                    );
                }
                _ => skipped("read, cold", "the cache can't be emptied here"),
            }
            engine.close().unwrap();
            std::fs::remove_dir_all(self.dir.join(&name)).unwrap();
        }
    }

    pub fn recovery(&mut self) {
        // The ring is as full as it gets before what is in it moves: two slots.
        for (what, commits, target) in [("1 M x 100 B", 3907, 25.0), ("the ring full", 4900, 300.0)] {
            let mut engine = self.engine("recovery");
            let topic = engine.create(["kept".to_string()]).unwrap();
            commit_all(&mut engine, topic, commits, 256, &[3; 100], false);
            drop(engine);
            self.reopen(what, target);
        }
        let mut engine = self.engine("recovery");
        let first = engine.create((0..10_000).map(|at| format!("topic-{at}"))).unwrap();
        engine.commit(first..first + 10_000, 1, &[3; 100], true).unwrap();
        drop(engine);
        self.reopen("10 000 topics, in the journal", 500.0);
        let mut engine = self.engine("recovery");
        let first = engine.create((0..10_000).map(|at| format!("topic-{at}"))).unwrap();
        engine.commit(first..first + 10_000, 1, &[3; 100], true).unwrap();
        let took = timed(|| engine.turn().unwrap());
        line(
            "10 000 topics with a message each, moved on",
            format!("{took:.0?}"),
            took.as_secs_f64() * 1e3,
            Target::None,
            "ms",
        );
        drop(engine);
        self.reopen("10 000 topics, in segments", 500.0);
    }

    /// What commits notice of what moves beside them.
    pub fn beside(&mut self) {
        let mut engine = self.engine("beside");
        let first = engine.create((0..10_000).map(|at| format!("topic-{at}"))).unwrap();
        engine.commit(first..first + 10_000, 1, &[3; 100], true).unwrap();
        let topic = engine.create(["settled".to_string()]).unwrap();
        let (moved, mut longest) = (self.dir.join(format!("beside/topics/{:08x}", 9_999)), 0_f64);
        // Until the third slot is begun, and what is in the first moves.
        commit_all(&mut engine, topic, 140, 1, &vec![3; MIB], true);
        let took = timed(|| {
            while !moved.exists() {
                let commit = commit_all(&mut engine, topic, 16, 16, &[3; 100], true);
                longest = longest.max(commit.within(1.0).as_secs_f64() * 1e3);
            }
        });
        let of = format!("ms, while 10 000 topics moved for {took:.1?}");
        line(
            "longest commit of 16 x 100 B beside it",
            format!("{longest:.1} ms"),
            longest,
            Target::None,
            &of,
        );
        engine.close().unwrap();
        std::fs::remove_dir_all(self.dir.join("beside")).unwrap();
    }

    fn reopen(&self, what: &str, target: f64) {
        let name = self.dir.join("recovery");
        let open = |heat: &str| {
            let mut engine = None;
            let millis = timed(|| engine = Some(self.engine("recovery"))).as_secs_f64() * 1e3;
            drop(engine);
            let value = format!("{millis:.1} ms");
            line(format!("opened after a kill, {what}, {heat}"), value, millis, Target::AtMost(target), "ms");
        };
        open("warm");
        if forget(&name.join("journal")) {
            open("cold");
        }
        std::fs::remove_dir_all(name).unwrap();
    }

    pub fn space(&mut self) {
        let mut engine = self.engine("space");
        let topic = engine.create(["kept".to_string()]).unwrap();
        commit_all(&mut engine, topic, 200, 16, &vec![3; 64 << 10], false);
        engine.turn().unwrap();
        let before = space(&self.dir.join("space"));
        engine.settle([topic]);
        let took = timed(|| engine.turn().unwrap());
        let after = space(&self.dir.join("space"));
        let millis = took.as_secs_f64() * 1e3;
        line("trimmed, 210 MB", format!("{millis:.1} ms"), millis, Target::AtMost(50.0), "ms");
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        let of =
            format!("MiB, {:.0} before; nothing is live, so at most one segment and the ring", mib(before));
        line(
            "space when all is trimmed",
            format!("{:.0} MiB", mib(after)),
            mib(after),
            Target::AtMost(64.0 + 256.0),
            &of,
        );
        engine.close().unwrap();
    }
}

/// Seconds that it takes to read a topic from end to end.
fn read_all(engine: &Engine, topic: u32, records: u64) -> f64 {
    let (mut seen, mut at) = (0, 0);
    let took = timed(|| {
        while seen < records {
            let part = engine.read(topic, at, MIB).unwrap();
            (seen, at) = (seen + part.records, part.next.unwrap());
        }
    });
    assert_eq!(seen, records);
    took.as_secs_f64()
}
