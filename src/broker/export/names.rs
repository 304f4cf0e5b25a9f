//! What each metric is called, and which count it is. `docs/metrics.md` lists the same; a test compares the two.

use metrics::Unit;

use super::totals::{Totals, Whose};
use crate::broker::{
    BreakerState, GroupNode, GroupReport, GroupState, GroupStats, Report, TopicNode, TopicReport, TopicStats,
    Topology,
};

/// A metric of a topic or a group: its name, its unit, what it is, and how it is read.
pub(super) struct Metric<S, V> {
    pub(super) name: &'static str,
    unit: Unit,
    pub(super) is: &'static str,
    read: fn(&S) -> V,
}

const fn count<S, V>(name: &'static str, is: &'static str, read: fn(&S) -> V) -> Metric<S, V> {
    Metric { name, unit: Unit::Count, is, read }
}

const fn bytes<S, V>(name: &'static str, is: &'static str, read: fn(&S) -> V) -> Metric<S, V> {
    Metric { name, unit: Unit::Bytes, is, read }
}

const fn seconds<S, V>(name: &'static str, is: &'static str, read: fn(&S) -> V) -> Metric<S, V> {
    Metric { name, unit: Unit::Seconds, is, read }
}

/// What a topic's stats count, and its report in the end.
pub(super) struct OfTopic {
    accepted: u64,
    evicted: u64,
    expired: u64,
    dropped_newest: u64,
    repeated: u64,
}

pub(super) const TOPIC_COUNTERS: [Metric<OfTopic, u64>; 5] = [
    count("callboard_topic_accepted_total", "messages that the topic accepted", |of| of.accepted),
    count("callboard_topic_evicted_total", "messages that were evicted to make room", |of| of.evicted),
    count("callboard_topic_expired_total", "messages that were too old before there was a group", |of| {
        of.expired
    }),
    count("callboard_topic_dropped_newest_total", "messages that were not accepted for want of room", |of| {
        of.dropped_newest
    }),
    count(
        "callboard_topic_repeated_total",
        "messages that were not accepted as their dedup key had been",
        |of| of.repeated,
    ),
];

pub(super) const TOPIC_GAUGES: [Metric<TopicStats, f64>; 11] = [
    count("callboard_topic_unsettled", "messages that hold a place", |s| s.unsettled as f64),
    count("callboard_topic_capacity", "places", |s| s.capacity as f64),
    bytes("callboard_topic_bytes", "what these weigh, where there is a limit in bytes", |s| s.bytes as f64),
    bytes("callboard_topic_capacity_bytes", "the limit in bytes, 0 for none", |s| {
        s.capacity_bytes.unwrap_or(0) as f64
    }),
    count("callboard_topic_pinned", "settled payloads that are kept by others of their batches", |s| {
        s.pinned as f64
    }),
    count("callboard_topic_scheduled", "delayed messages that are not in the topic yet", |s| {
        s.scheduled as f64
    }),
    count("callboard_topic_delay_capacity", "places for these", |s| s.delay_capacity as f64),
    count("callboard_topic_waiting_publishers", "those who wait in line for a place", |s| {
        s.waiting_publishers as f64
    }),
    count("callboard_topic_blocked", "1 while publishers have waited for 5 s without a place, else 0", |s| {
        f64::from(s.blocked_by.is_some())
    }),
    count("callboard_topic_groups", "groups", |s| s.groups as f64),
    seconds(
        "callboard_topic_oldest_seconds",
        "age of the oldest message that holds a place, 0 for none",
        |s| s.oldest.unwrap_or_default().as_secs_f64(),
    ),
];

pub(super) const GROUP_COUNTERS: [Metric<GroupStats, u64>; 14] = [
    count("callboard_group_entered_total", "messages that came in, redriven ones again", |s| s.entered),
    count("callboard_group_redriven_total", "messages that came back from the dead letters", |s| s.redriven),
    count("callboard_group_acked_total", "messages settled by an ack", |s| s.acked),
    count("callboard_group_dropped_total", "messages that a handler dropped", |s| s.dropped),
    count("callboard_group_dead_lettered_total", "messages that moved to the dead-letter topic", |s| {
        s.dead_lettered
    }),
    count(
        "callboard_group_evicted_total",
        "messages that the topic evicted before it had settled them",
        |s| s.evicted,
    ),
    count("callboard_group_skipped_total", "messages that it skipped, being too far behind", |s| s.skipped),
    count("callboard_group_expired_total", "messages that were past their time", |s| s.expired),
    count("callboard_group_failures_total", "attempts that failed", |s| s.failures),
    count("callboard_group_no_room_total", "attempts that found something further down full", |s| s.no_room),
    count("callboard_group_redeliveries_total", "attempts that were not a message's first", |s| {
        s.redeliveries
    }),
    count("callboard_group_refused_total", "acks that came after their lease was over", |s| s.refused),
    count("callboard_group_breaker_opened_total", "how often its breaker opened", |s| {
        s.breaker.map_or(0, |breaker| breaker.opened)
    }),
    count("callboard_group_restarts_total", "handlers that were made anew, or were to be", |s| s.restarts),
];

pub(super) const GROUP_GAUGES: [Metric<GroupStats, f64>; 13] = [
    count("callboard_group_backlog", "messages that wait for a consumer", |s| s.backlog as f64),
    count("callboard_group_in_flight", "messages that consumers hold", |s| s.in_flight as f64),
    count("callboard_group_delayed", "messages that wait for their backoff", |s| s.delayed as f64),
    count("callboard_group_parked", "messages that wait for room in the dead-letter topic", |s| {
        s.parked as f64
    }),
    count("callboard_group_lag", "messages that the topic has for it to settle", |s| s.lag as f64),
    count("callboard_group_consumers", "handlers and open streams", |s| s.consumers as f64),
    count("callboard_group_stuck", "handlers that were cancelled and never yielded", |s| s.stuck as f64),
    count("callboard_group_keys", "keys of the messages that it has not settled, if it goes by key", |s| {
        s.keys as f64
    }),
    count("callboard_group_failed_keys", "keys of these that wait for a message that failed", |s| {
        s.failed_keys as f64
    }),
    count("callboard_group_failed", "1 while its consumers can't be built, else 0", |s| {
        f64::from(s.state == GroupState::Failed)
    }),
    count("callboard_group_paused", "1 while it is paused, else 0", |s| {
        f64::from(s.state == GroupState::Paused)
    }),
    count("callboard_group_breaker_open", "1 while its breaker is not closed, else 0", |s| {
        f64::from(s.breaker.is_some_and(|breaker| breaker.state != BreakerState::Closed))
    }),
    seconds(
        "callboard_group_oldest_seconds",
        "age of the oldest message that it has to settle, 0 for none",
        |s| s.oldest.unwrap_or_default().as_secs_f64(),
    ),
];

/// Tells the recorder what the metrics are.
pub(super) fn describe() {
    for metric in TOPIC_COUNTERS {
        metrics::describe_counter!(metric.name, metric.unit, metric.is);
    }
    for metric in GROUP_COUNTERS {
        metrics::describe_counter!(metric.name, metric.unit, metric.is);
    }
    for metric in TOPIC_GAUGES {
        metrics::describe_gauge!(metric.name, metric.unit, metric.is);
    }
    for metric in GROUP_GAUGES {
        metrics::describe_gauge!(metric.name, metric.unit, metric.is);
    }
}

/// Gives the recorder the numbers of all topics and groups; those that are gone stand at zero.
pub(super) fn publish(totals: &mut Totals, topology: &Topology) {
    for TopicNode { topic, stats, groups, number, .. } in &topology.topics {
        let whose = (topic.clone(), None);
        let TopicStats { accepted, evicted, expired, dropped_newest, repeated, .. } = *stats;
        let counts = OfTopic { accepted, evicted, expired, dropped_newest, repeated };
        counters(totals, &TOPIC_COUNTERS, &whose, (*number, 0), &counts);
        gauges(&TOPIC_GAUGES, &whose, Some(stats));
        for GroupNode { group, stats, number: of_group, .. } in groups {
            let whose = (topic.clone(), Some(group.clone()));
            counters(totals, &GROUP_COUNTERS, &whose, (*number, *of_group), stats);
            gauges(&GROUP_GAUGES, &whose, Some(stats));
        }
    }
    clear(totals);
}

/// Gives the recorder the last counts, those of the report. All gauges stand at zero then.
pub(super) fn publish_last(totals: &mut Totals, report: &Report) {
    for topic in &report.topics {
        let whose = (topic.topic.clone(), None);
        let number = totals.number(&whose).unwrap_or_default();
        let TopicReport { accepted, evicted, expired, dropped_newest, repeated, .. } = *topic;
        let counts = OfTopic { accepted, evicted, expired, dropped_newest, repeated };
        counters(totals, &TOPIC_COUNTERS, &whose, number, &counts);
        for GroupReport { group, stats, .. } in &topic.groups {
            let whose = (topic.topic.clone(), Some(group.clone()));
            let number = totals.number(&whose).unwrap_or_default();
            counters(totals, &GROUP_COUNTERS, &whose, number, stats);
        }
    }
    // Nothing is there any more: the first of the rounds is that of the report.
    clear(totals);
    clear(totals);
}

fn counters<S>(totals: &mut Totals, all: &[Metric<S, u64>], whose: &Whose, number: (u64, u64), stats: &S) {
    let counts = all.iter().map(|metric| (metric.read)(stats)).collect();
    let total = totals.add(whose.clone(), number, counts);
    for (metric, total) in all.iter().zip(total) {
        metrics::counter!(metric.name, labels(whose)).absolute(total);
    }
}

/// Sets each, to zero where there is nothing to read.
fn gauges<S>(all: &[Metric<S, f64>], whose: &Whose, stats: Option<&S>) {
    for metric in all {
        metrics::gauge!(metric.name, labels(whose)).set(stats.map_or(0.0, metric.read));
    }
}

/// Ends a round; the gauges of who is gone go to zero.
fn clear(totals: &mut Totals) {
    for whose in totals.end_round() {
        match whose.1 {
            None => gauges(&TOPIC_GAUGES, &whose, None),
            Some(_) => gauges(&GROUP_GAUGES, &whose, None),
        }
    }
}

fn labels((topic, group): &Whose) -> Vec<metrics::Label> {
    let topic = metrics::Label::new("topic", topic.to_string());
    let group = group.as_ref().map(|group| metrics::Label::new("group", group.to_string()));
    std::iter::once(topic).chain(group).collect()
}
