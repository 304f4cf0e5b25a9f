//! Pictures of topologies that are made up.

use std::time::Duration;

use super::*;
use crate::broker::stats::Counts;
use crate::broker::{Blocked, ConsumerKind, ConsumerState, GroupState, WhyBlocked};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn topic(topic: &str, groups: Vec<GroupNode>) -> TopicNode {
    let stats = TopicStats {
        accepted: 17,
        unsettled: 3,
        capacity: 1024,
        pinned: 0,
        evicted: 0,
        expired: 0,
        spilled: 0,
        spilled_bytes: 0,
        spill_lost: 0,
        oldest: None,
        bytes: 0,
        capacity_bytes: None,
        dropped_newest: 0,
        repeated: 0,
        scheduled: 0,
        delay_capacity: 1024,
        waiting_publishers: 0,
        groups: groups.len(),
        held: false,
        blocked_by: None,
    };
    TopicNode { topic: name(topic), payload: "u32", stats, groups, number: 0 }
}

fn group(group: &str, dead_letters: &str, consumers: u32, counts: Counts) -> GroupNode {
    let stats = GroupStats::new(GroupState::Running, counts, consumers as usize, 0, 0, (0, 0));
    let consumer = |consumer| ConsumerStats {
        consumer,
        kind: ConsumerKind::Handler,
        state: ConsumerState::Ready,
        leases: 0,
        messages: 0,
        handled: 0,
        failures: 0,
        rebuilt: 0,
    };
    let consumers = (1..=consumers).map(consumer).collect();
    GroupNode {
        group: name(group),
        stats,
        consumers,
        dead_letters: name(dead_letters),
        forwards_to: Vec::new(),
        number: 0,
    }
}

fn shop() -> Topology {
    let counts = Counts { backlog: 1, in_flight: 2, dead: 1, ..Counts::default() };
    let mut billing = group("billing", "orders.billing.dead", 4, counts);
    billing.stats.oldest = Some(Duration::from_millis(3250));
    let mut audit = group("audit", "elsewhere", 1, Counts::default());
    audit.stats.state = GroupState::Failed;
    let orders = topic("orders", vec![audit, billing]);
    Topology { draining: false, topics: vec![orders, topic("orders.billing.dead", Vec::new())] }
}

#[test]
fn a_picture_has_all_topics_groups_and_ways_with_their_numbers() {
    let picture = "\
flowchart LR
    t0[(\"<b>orders</b><br/>3 of 1024 places taken<br/>17 accepted\")]
    g0_0([\"<b>audit</b>, failed<br/>1 consumer<br/>lag 0, backlog 0, in flight 0\"])
    t2[(\"elsewhere\")]
    g0_1([\"<b>billing</b><br/>4 consumers<br/>lag 3, backlog 1, in flight 2<br/>oldest 3.2s\"])
    t1[(\"<b>orders.billing.dead</b><br/>3 of 1024 places taken<br/>17 accepted\")]
    t0 --> g0_0
    g0_0 -. \"dead letters\" .-> t2
    t0 --> g0_1
    g0_1 -. \"1 dead letter\" .-> t1
    classDef trouble stroke:#d00,stroke-width:3px
    class g0_0 trouble
";
    assert_eq!(shop().to_mermaid(), picture);
}

#[test]
fn what_is_wrong_with_a_topic_is_in_its_picture() {
    let mut node = topic("t", Vec::new());
    node.stats.waiting_publishers = 2;
    node.stats.held = true;
    node.stats.blocked_by = Some(Blocked { group: None, why: WhyBlocked::Held });
    let picture = Topology { draining: true, topics: vec![node] }.to_mermaid();
    assert!(picture.contains("2 publishers wait<br/>blocked: the topic is held<br/>held\")]"), "{picture}");
    assert!(picture.ends_with("class t0 trouble\n"), "{picture}");
}

#[test]
fn no_name_can_say_more_than_a_name() {
    let bad = "end\"])-->x;#quot;<b>&`|{%%";
    let node = topic(bad, vec![group(bad, bad, 1, Counts::default())]);
    let picture = Topology { draining: false, topics: vec![node] }.to_mermaid();
    let shown = "<b>end#34;#93;#41;--#62;x#59;#35;quot#59;#60;b#62;#38;#96;#124;#123;#37;#37;</b>";
    assert_eq!(picture.matches(shown).count(), 2, "{picture}");
    assert_eq!(picture.lines().count(), 5, "{picture}");
    let japanese = Topology { draining: false, topics: vec![topic("名前", Vec::new())] };
    assert!(japanese.to_mermaid().contains("<b>名前</b>"));
}

#[cfg(feature = "serde")]
#[test]
fn json_says_all_of_it_with_units() {
    let json: serde_json::Value = serde_json::from_str(&shop().to_json()).unwrap();
    let billing = &json["topics"][0]["groups"][1];
    assert_eq!(billing["group"], "billing");
    assert_eq!(billing["dead_letters"], "orders.billing.dead");
    assert_eq!((&billing["stats"]["oldest_ms"], &billing["stats"]["lag"]), (&3250.into(), &3.into()));
    assert_eq!(json["topics"][0]["groups"][0]["stats"]["state"], "failed");
    assert_eq!(billing["consumers"][0]["state"], "ready");
    assert_eq!(json["topics"][0]["stats"]["blocked_by"], serde_json::Value::Null);
    assert!(billing.get("number").is_none(), "nothing of the inside");
}
