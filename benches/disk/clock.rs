//! Times, and what is made of them.

use std::time::{Duration, Instant};

pub fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// How long each of some commits took.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    pub fn of(times: impl Iterator<Item = Duration>) -> Samples {
        let mut times: Vec<Duration> = times.collect();
        times.sort_unstable();
        Samples(times)
    }

    /// The time that this share of them took at most.
    pub fn within(&self, share: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }

    pub fn per_second(&self) -> f64 {
        self.0.len() as f64 / self.0.iter().sum::<Duration>().as_secs_f64()
    }
}

/// Runs both sides in turn, and keeps of each the rounds with the least of `key`: other load only adds.
pub struct Rounds {
    pub raw: Samples,
    pub ours: Samples,
}

impl Rounds {
    pub fn run(many: usize, mut raw: impl FnMut() -> Samples, mut ours: impl FnMut() -> Samples) -> Rounds {
        let best = |all: Vec<Samples>| {
            all.into_iter().max_by(|a, b| a.per_second().total_cmp(&b.per_second())).unwrap()
        };
        let (raw, ours) = (0..many).map(|_| (raw(), ours())).unzip();
        Rounds { raw: best(raw), ours: best(ours) }
    }

    /// How many times the raw time ours took, of what this share took at most.
    pub fn times(&self, share: f64) -> f64 {
        self.ours.within(share).as_secs_f64() / self.raw.within(share).as_secs_f64()
    }
}
