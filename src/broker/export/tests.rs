//! Is the list in the docs that of the metrics?

use super::names::{GROUP_COUNTERS, GROUP_GAUGES, TOPIC_COUNTERS, TOPIC_GAUGES};

#[test]
fn the_docs_list_each_metric_and_no_other() {
    let row =
        |name: &str, kind: &str, labels: &str, is: &str| format!("| `{name}` | {kind} | {labels} | {is} |");
    let mut rows = Vec::new();
    rows.extend(TOPIC_COUNTERS.iter().map(|one| row(one.name, "counter", "topic", one.is)));
    rows.extend(TOPIC_GAUGES.iter().map(|one| row(one.name, "gauge", "topic", one.is)));
    rows.extend(GROUP_COUNTERS.iter().map(|one| row(one.name, "counter", "topic, group", one.is)));
    rows.extend(GROUP_GAUGES.iter().map(|one| row(one.name, "gauge", "topic, group", one.is)));
    let docs = include_str!("../../../docs/metrics.md");
    let listed: Vec<&str> = docs.lines().filter(|line| line.starts_with("| `callboard_")).collect();
    assert_eq!(listed, rows, "the table should read:\n{}", rows.join("\n"));
}
