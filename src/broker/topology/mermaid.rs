//! A topology as a Mermaid flowchart. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::{GroupNode, TopicNode, Topology};
use crate::base::Name;
use crate::broker::{BreakerState, ConsumerState, GroupState};

/// What is framed.
const TROUBLE: &str = "classDef trouble stroke:#d00,stroke-width:3px";

pub(super) fn draw(topology: &Topology) -> String {
    // Why numbers: a name may be a word of Mermaid's, or hold its signs.
    let mut ids: BTreeMap<&Name, String> =
        topology.topics.iter().enumerate().map(|(at, node)| (&node.topic, format!("t{at}"))).collect();
    let mut text = String::from("flowchart LR\n");
    let (mut trouble, mut arrows) = (Vec::new(), String::new());
    for (node, at) in topology.topics.iter().zip(0..) {
        line(&mut text, format_args!("t{at}[(\"{}\")]", topic_text(node)));
        if node.stats.blocked_by.is_some() {
            trouble.push(format!("t{at}"));
        }
        for (group, index) in node.groups.iter().zip(0..) {
            let id = format!("g{at}_{index}");
            line(&mut text, format_args!("{id}([\"{}\"])", group_text(group)));
            line(&mut arrows, format_args!("t{at} --> {id}"));
            for edge in group.edges() {
                let unseen = ids.len();
                let to = ids.entry(edge.to).or_insert_with(|| {
                    // Opened after the topics were asked.
                    let id = format!("t{unseen}");
                    line(&mut text, format_args!("{id}[(\"{}\")]", escaped(edge.to.as_str())));
                    id
                });
                line(&mut arrows, format_args!("{id} -. \"{}\" .-> {to}", escaped(&edge.text)));
            }
            if is_troubled(group) {
                trouble.push(id);
            }
        }
    }
    text += &arrows;
    if !trouble.is_empty() {
        line(&mut text, format_args!("{TROUBLE}"));
        line(&mut text, format_args!("class {} trouble", trouble.join(",")));
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = writeln!(text, "    {line}");
}

fn topic_text(node: &TopicNode) -> String {
    let stats = &node.stats;
    let mut lines = vec![
        format!("<b>{}</b>", escaped(node.topic.as_str())),
        format!("{} of {} places taken", stats.unsettled, stats.capacity),
        format!("{} accepted", stats.accepted),
    ];
    for (count, what) in [
        (stats.dropped_newest, "dropped"),
        (stats.repeated, "repeated"),
        (stats.evicted, "evicted"),
        (stats.expired, "expired"),
    ] {
        lines.extend((count > 0).then(|| format!("{count} {what}")));
    }
    lines.extend(age(stats.oldest));
    if stats.waiting_publishers > 0 {
        lines.push(format!("{} publishers wait", stats.waiting_publishers));
    }
    if let Some(blocked) = &stats.blocked_by {
        lines.push(escaped(&format!("blocked: {}", blocked.why)));
    }
    if stats.held {
        lines.push("held".to_owned());
    }
    lines.join("<br/>")
}

fn group_text(node: &GroupNode) -> String {
    let stats = &node.stats;
    let state = match stats.state {
        GroupState::Running => "",
        GroupState::Failed => ", failed",
        GroupState::Paused => ", paused",
        GroupState::Stopping => ", stopping",
    };
    let mut lines = vec![
        format!("<b>{}</b>{state}", escaped(node.group.as_str())),
        plural(node.consumers.len(), "consumer"),
        format!("lag {}, backlog {}, in flight {}", stats.lag, stats.backlog, stats.in_flight),
    ];
    let more = [
        (stats.delayed, "delayed"),
        (stats.parked, "parked"),
        (stats.failed_keys as u64, "failed keys"),
        (stats.redeliveries, "delivered again"),
        (stats.restarts, "restarts"),
        (stats.dropped, "dropped"),
        (stats.evicted, "evicted"),
        (stats.skipped, "skipped"),
        (stats.expired, "expired"),
        (stats.stuck as u64, "stuck"),
    ];
    let more: Vec<_> = more.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if !more.is_empty() {
        lines.push(more.join(", "));
    }
    if is_tripped(node) {
        lines.push("breaker open".to_owned());
    }
    lines.extend(age(stats.oldest));
    lines.join("<br/>")
}

fn is_tripped(node: &GroupNode) -> bool {
    node.stats.breaker.is_some_and(|breaker| breaker.state != BreakerState::Closed)
}

fn is_troubled(node: &GroupNode) -> bool {
    let at_a_loss = |state| matches!(state, ConsumerState::GivenUp | ConsumerState::Stuck);
    node.stats.state == GroupState::Failed
        || node.stats.parked > 0
        || is_tripped(node)
        || node.stats.stuck > 0
        || node.consumers.iter().any(|consumer| at_a_loss(consumer.state))
}

fn age(oldest: Option<Duration>) -> Option<String> {
    oldest.map(|age| format!("oldest {age:.1?}"))
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Text as Mermaid shows it: its own signs, and HTML's, by their number.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | ':' | '-' | '_') {
            safe.push(c);
        } else {
            let _ = write!(safe, "#{};", u32::from(c));
        }
    }
    safe
}
