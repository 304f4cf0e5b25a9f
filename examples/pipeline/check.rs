//! The check: what the handlers did, what the broker says of itself and a plain count of the input must agree.

use std::collections::BTreeSet;

use callboard::broker::GroupStats;

use crate::Work;
use crate::count::{Counts, get};
use crate::line::Step;
use crate::report::Run;

impl Run {
    /// What is not as it must be, one sentence each. Empty: all is well.
    pub(crate) fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |what: &str, is: u64, must: u64| {
            if is != must {
                found.push(format!("{what}: {is}, and must be {must}"));
            }
        };
        let Work { faults, order, counts, surplus, losses, .. } = &self.work;
        let missing = &losses.missing;

        let audited = |counts: &Counts| get(&counts.audited);
        check("lines of audit", audited(counts) + audited(missing), self.plain.lines + audited(surplus));
        let ordered = |counts: &Counts| get(&counts.ordered);
        check("lines of order", ordered(counts) + ordered(missing), self.plain.lines + ordered(surplus));
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

        // What the broker says of itself must be what the handlers and the hook saw.
        let (dropped, evicted) = (get(&losses.dropped), get(&losses.evicted));
        for topic in self.report.topics.iter().filter(|topic| topic.topic.as_str() == "lines") {
            check("lines accepted", topic.accepted, self.plain.lines - dropped);
            check("lines dropped", topic.dropped_newest, dropped);
            check("lines evicted", topic.evicted, evicted);
        }
        check("groups reported on", self.groups().count() as u64, Step::ALL.len() as u64);
        for (step, group, stats) in self.groups() {
            check(&format!("messages evicted from {group}"), stats.evicted, losses.evicted_from(step));
            check(&format!("deliveries to {group}"), delivered(stats), faults.deliveries_to(step));
        }
        check("dead letters", self.dead_letters(), get(&losses.letters));
        check("crashes after an effect that nothing followed", faults.unheard() as u64, 0);
        check("messages lost", self.report.lost(), 0);
        check("shutdowns that timed out", self.report.timed_out.into(), 0);
        if let Some((violations, first)) = order.violations() {
            found.push(format!("order per key: {violations} violations, the first for {first}"));
        }
        found
    }

    /// The groups that there must be, as the broker reported on them.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (Step, &'static str, &GroupStats)> {
        Step::ALL.into_iter().filter_map(|(step, topic, group)| {
            self.report.group(topic, group).map(|report| (step, group, &report.stats))
        })
    }

    pub(crate) fn dead_letters(&self) -> u64 {
        self.groups().map(|(_, _, stats)| stats.dead_lettered).sum()
    }
}

/// Handlings that ended, well or not.
pub(crate) fn delivered(stats: &GroupStats) -> u64 {
    stats.acked + stats.failures
}
