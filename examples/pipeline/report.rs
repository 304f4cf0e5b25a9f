//! What is said at the end.

use std::fmt::Write as _;
use std::time::Duration;

use callboard::broker::Report;

use crate::Work;
use crate::check::delivered;
use crate::count::{Plain, get, grouped};
use crate::losses::LISTED;

/// A run that is over.
pub(crate) struct Run {
    pub(crate) plain: Plain,
    pub(crate) work: Work,
    pub(crate) report: Report,
    /// How often the topic of the lines refused to take more.
    pub(crate) refused: u64,
    pub(crate) took: Duration,
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
        self.write_numbers(said)?;
        self.write_groups(said)?;
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

    fn write_numbers(&self, said: &mut String) -> std::fmt::Result {
        let losses = &self.work.losses;
        let mut number = |number: u64, what: &str| writeln!(said, "{:>12}  {what}", grouped(number));
        let words = grouped(self.plain.total());
        number(self.plain.lines, &format!("lines, with {words} words, came in"))?;
        for (lines, what) in [
            (self.refused, "times the topic refused more lines, and was asked again"),
            (get(&losses.dropped), "of the lines were dropped, since the topic was full"),
            (get(&losses.evicted), "times the topic evicted its oldest line"),
        ] {
            if lines > 0 {
                number(lines, what)?;
            }
        }
        let messages: u64 = self.groups().map(|(_, _, stats)| stats.entered).sum();
        let seconds = self.took.as_secs_f64();
        number(messages, &format!("messages were handled in {seconds:.3} s"))?;
        number((messages as f64 / seconds.max(1e-9)) as u64, "messages per second")?;
        number(self.dead_letters(), "dead letters")
    }

    fn write_groups(&self, said: &mut String) -> std::fmt::Result {
        writeln!(said, "\n  group   deliveries  redeliveries    restarts  dead letters     evicted")?;
        for (_, group, stats) in self.groups() {
            let figures =
                [delivered(stats), stats.redeliveries, stats.restarts, stats.dead_lettered, stats.evicted];
            let [deliveries, again, restarts, dead, evicted] = figures.map(grouped);
            writeln!(
                said,
                "  {group}   {deliveries:>10}  {again:>12}  {restarts:>10}  {dead:>12}  {evicted:>10}"
            )?;
        }
        Ok(())
    }

    fn write_letters(&self, said: &mut String) -> std::fmt::Result {
        let first = self.work.losses.first();
        if !first.is_empty() {
            writeln!(said, "\n  the first dead letters")?;
        }
        first.iter().try_for_each(|letter| writeln!(said, "  {letter}"))
    }

    fn write_verdict(&self, said: &mut String) -> std::fmt::Result {
        let (differences, Work { counts, order, surplus, losses, .. }) = (self.differences(), &self.work);
        writeln!(said)?;
        for difference in differences.iter().take(LISTED) {
            writeln!(said, "{difference}")?;
        }
        if !differences.is_empty() {
            return write!(said, "not verified, differences to a plain count: {}", differences.len());
        }
        let keys = grouped(order.keys());
        write!(said, "verified: {counts}, as in a plain count, each of {keys} keys in order")?;
        if !surplus.is_empty() {
            write!(said, ", with {surplus} that redeliveries did again")?;
        }
        if !losses.missing.is_empty() {
            write!(said, ", without {} that were dropped, evicted or given up", losses.missing)?;
        }
        Ok(())
    }
}
