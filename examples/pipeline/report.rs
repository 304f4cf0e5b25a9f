//! What is said at the end, and the check.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use callboard::broker::{GroupStats, Report};
use callboard::prelude::*;

use crate::Work;
use crate::count::{Counts, Plain, lock, words};
use crate::faults::Step;

/// How many dead letters, differences and top words are listed; the rest is only counted.
const LISTED: usize = 10;
/// The groups, as (topic, group).
const GROUPS: [(&str, &str); 3] = [("lines", "parse"), ("words", "count"), ("lines", "audit")];

/// Dead letters: the first of them, and what is missing from the counts because of them.
#[derive(Default)]
pub(crate) struct Letters {
    first: Mutex<Vec<String>>,
    count: AtomicU64,
    missing: Counts,
}

/// A run that is over.
pub(crate) struct Run {
    pub(crate) plain: Plain,
    pub(crate) work: Work,
    pub(crate) report: Report,
    pub(crate) took: Duration,
}

impl Letters {
    pub(crate) fn add(&self, step: Step, letter: &DeadLetter, text: &str, had_its_effect: bool) {
        self.count.fetch_add(1, Ordering::Relaxed);
        match step {
            _ if had_its_effect => {}
            Step::Parse => words(text).for_each(|word| self.missing.add_word(&word)),
            Step::Count => self.missing.add_word(text),
            Step::Audit => self.missing.add_line(),
        }
        let mut first = lock(&self.first);
        if first.len() < LISTED {
            let start: String = text.chars().take(40).collect();
            let (topic, group, id) = (letter.original_topic(), letter.group(), letter.original_id());
            let error = letter.error().unwrap_or("no error");
            first.push(format!("{topic}.{group} {id}: {}: {error}: {start:?}", letter.reason()));
        }
    }
}

impl Run {
    /// Everything there is to say, the verdict last.
    pub(crate) fn report(&self) -> String {
        let mut said = String::new();
        // Writing to a String can't fail.
        let _ = self.write(&mut said);
        said
    }

    fn write(&self, said: &mut String) -> std::fmt::Result {
        self.write_top_words(said)?;
        let (lines, words) = (self.plain.lines, self.plain.total());
        let messages: u64 = self.groups().map(|(_, stats)| stats.entered).sum();
        let rate = messages as f64 / self.took.as_secs_f64().max(1e-9);
        writeln!(said, "{:>12}  lines, with {} words, came in", grouped(lines), grouped(words))?;
        writeln!(
            said,
            "{:>12}  messages were handled in {:.3} s",
            grouped(messages),
            self.took.as_secs_f64()
        )?;
        writeln!(said, "{:>12}  messages per second", grouped(rate as u64))?;
        writeln!(said, "{:>12}  dead letters", grouped(self.dead_letters()))?;
        writeln!(said, "\n  group   deliveries  redeliveries    restarts  dead letters")?;
        for (group, stats) in self.groups() {
            let figures =
                [delivered(stats), stats.redeliveries, stats.restarts, stats.dead_lettered].map(grouped);
            let [deliveries, redeliveries, restarts, dead] = figures;
            writeln!(said, "  {group}   {deliveries:>10}  {redeliveries:>12}  {restarts:>10}  {dead:>12}")?;
        }
        self.write_letters(said)?;
        self.write_verdict(said)
    }

    fn write_top_words(&self, said: &mut String) -> std::fmt::Result {
        let mut words = self.work.counts.words();
        words.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then(a.cmp(b)));
        for (word, count) in words.iter().take(LISTED) {
            writeln!(said, "{:>12}  {word}", grouped(*count))?;
        }
        writeln!(said)
    }

    fn write_letters(&self, said: &mut String) -> std::fmt::Result {
        let first = lock(&self.work.letters.first);
        if !first.is_empty() {
            writeln!(said, "\n  the first dead letters")?;
        }
        first.iter().try_for_each(|letter| writeln!(said, "  {letter}"))
    }

    fn write_verdict(&self, said: &mut String) -> std::fmt::Result {
        let (differences, counts) = (self.differences(), &self.work.counts);
        writeln!(said)?;
        for difference in differences.iter().take(LISTED) {
            writeln!(said, "{difference}")?;
        }
        if !differences.is_empty() {
            return write!(said, "not verified, differences to a plain count: {}", differences.len());
        }
        write!(said, "verified: {} counted, as in a plain count", amount(counts))?;
        let (surplus, missing) = (&self.work.surplus, &self.work.letters.missing);
        if total(surplus) + surplus.lines() > 0 {
            write!(said, ", with {} that redeliveries did again", amount(surplus))?;
        }
        if total(missing) + missing.lines() > 0 {
            write!(said, ", without {} of dead letters", amount(missing))?;
        }
        Ok(())
    }

    /// What is not as it must be, one sentence each. Empty: all is well.
    pub(crate) fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |what: &str, is: u64, must: u64| {
            if is != must {
                found.push(format!("{what}: {is}, and must be {must}"));
            }
        };
        let Work { faults, counts, surplus, letters } = &self.work;
        let missing = &letters.missing;
        check("lines", counts.lines() + missing.lines(), self.plain.lines + surplus.lines());
        let counted = counts.words();
        let words: BTreeSet<&str> = self
            .plain
            .words
            .keys()
            .map(String::as_str)
            .chain(counted.iter().map(|(word, _)| &**word))
            .collect();
        for word in words {
            let plain = self.plain.words.get(word).copied().unwrap_or(0);
            let is = counts.word(word) + missing.word(word);
            check(&format!("the word {word:?}"), is, plain + surplus.word(word));
        }
        // What the broker says of itself must be what the handlers saw.
        check("deliveries", self.groups().map(|(_, stats)| delivered(stats)).sum(), faults.deliveries());
        check("dead letters", self.dead_letters(), letters.count.load(Ordering::Relaxed));
        check("crashes after an effect that nothing followed", faults.unheard() as u64, 0);
        check("messages lost", self.report.lost(), 0);
        check("shutdowns that timed out", self.report.timed_out.into(), 0);
        found
    }

    fn groups(&self) -> impl Iterator<Item = (&'static str, &GroupStats)> {
        GROUPS.iter().filter_map(|(topic, group)| {
            self.report.group(topic, group).map(|report| (*group, &report.stats))
        })
    }

    fn dead_letters(&self) -> u64 {
        self.groups().map(|(_, stats)| stats.dead_lettered).sum()
    }
}

fn total(counts: &Counts) -> u64 {
    counts.words().iter().map(|(_, count)| count).sum()
}

fn amount(counts: &Counts) -> String {
    format!("{} words and {} lines", grouped(total(counts)), grouped(counts.lines()))
}

/// Handlings that ended, well or not.
fn delivered(stats: &GroupStats) -> u64 {
    stats.acked + stats.failures
}

/// Writes a number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = {
        let (first, rest) = digits.split_at(digits.len() % 3);
        let rest = (0..rest.len()).step_by(3).filter_map(|at| rest.get(at..at + 3));
        std::iter::once(first).filter(|first| !first.is_empty()).chain(rest).collect()
    };
    groups.join(",")
}
