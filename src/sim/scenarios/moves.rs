//! Groups of topics on disk that come late and are moved, while processes end at any moment: a part of `lives.rs`.

use super::lives::Lives;
use super::retained::seek;
use super::stage::{Ended, millis};
use crate::broker::Topic;

impl Lives {
    /// Opens groups late, and moves those that are there, from tasks of the process.
    pub(super) fn move_about(&self, topics: &[Topic<u64>]) -> Vec<Ended> {
        let mut tasks = Vec::new();
        let stage = self.stage();
        for (plot, topic) in self.plots().iter().zip(topics).filter(|(plot, _)| plot.moves) {
            for group in plot.late_groups() {
                let (kept, topic, group) = (stage.clone(), topic.clone(), group.clone());
                tasks.push(stage.spawn("latecomer", async move {
                    kept.a_while(millis(40)).await;
                    // The process may be at its end.
                    group.open(&kept, &topic).await;
                }));
            }
            let (kept, topic) = (stage.clone(), topic.clone());
            let names = plot.group_names();
            tasks.push(stage.spawn("pilot", async move {
                for _ in 0..kept.below(6) {
                    kept.a_while(millis(30)).await;
                    let name = names[kept.below(names.len())];
                    if let Ok(group) = topic.find_group(name) {
                        let _ = seek(&kept, &group, topic.name().as_str()).await;
                    }
                }
            }));
        }
        tasks
    }

    /// Moves groups once more when all is done.
    pub(super) async fn move_all(&self, topics: &[Topic<u64>]) {
        let stage = self.stage();
        for (plot, topic) in self.plots().iter().zip(topics).filter(|(plot, _)| plot.moves) {
            for name in plot.group_names() {
                if stage.chance(2)
                    && let Ok(group) = topic.find_group(name)
                    && let Some(Err(error)) = seek(stage, &group, topic.name().as_str()).await
                {
                    stage.is_wrong(format_args!("P22: {} can't be moved: {error}", topic.name()));
                }
            }
        }
    }
}
