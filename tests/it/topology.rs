//! Does a broker show its topics, groups and consumers as they are, from everywhere, until it has stopped? (G11, G18, G25)

use callboard::broker::{Closed, GroupState, Topology};
use callboard::prelude::*;

use crate::every;
use crate::kit::{Valve, begun, secs, until, valved};
use crate::seen::balanced;

#[test]
fn every_topic_and_group_is_shown_with_its_stats_and_its_way_for_dead_letters() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        assert!(broker.topology().await.unwrap().topics.is_empty());
        let orders = broker.topic::<u64>("orders").capacity(16).open().await.unwrap();
        broker.topic::<String>("empty").open().await.unwrap();
        let valve = Valve::shut();
        let billing = valved(&orders, "billing", &valve).await;
        let audit = orders.group("audit").consumers(3).dead_letter_topic("graveyard");
        let audit = audit.retry(Retry::none()).run_fn(|_| Err(Fault::new("no"))).await.unwrap();
        orders.publish_all(0..5).await.unwrap();
        until(&audit, |stats| stats.dead_lettered == 5).await;
        valve.next().await;
        until(&billing, |stats| stats.unsettled() == 5).await;

        let topology = broker.topology().await.unwrap();
        let names: Vec<_> = topology.topics.iter().map(|node| node.topic.as_str()).collect();
        assert_eq!(names, ["empty", "graveyard", "orders", "orders.billing.dead"]);
        let payloads: Vec<_> = topology.topics.iter().map(|node| node.payload).collect();
        assert_eq!((payloads[0], payloads[2]), ("alloc::string::String", "u64"));
        let [first, second] = &topology.topic("orders").unwrap().groups[..] else { panic!("two groups") };
        assert_eq!((first.group.as_str(), first.dead_letters.as_str()), ("audit", "graveyard"));
        assert_eq!(second.dead_letters.as_str(), "orders.billing.dead");
        assert_eq!((first.consumers.len(), second.consumers.len()), (3, 1));
        assert_eq!(u64::from(second.consumers[0].messages), second.stats.in_flight);
        assert_eq!(topology.topic("orders").unwrap().stats.unsettled, 5);
        assert_eq!(topology.topic("graveyard").unwrap().stats.accepted, 5);
        assert_eq!(balanced(first.stats.clone()).dead_lettered, 5);
        let asked = billing.stats().await.unwrap();
        assert_eq!((asked.unsettled(), asked.lag), (second.stats.unsettled(), second.stats.lag));
        assert!(topology.group("orders", "nobody").is_none() && topology.topic("nothing").is_none());
        let picture = topology.to_mermaid();
        assert!(picture.contains("5 of 16 places taken") && picture.contains("5 dead letters"), "{picture}");
        valve.open();
    });
}

#[test]
fn a_handler_may_look_at_the_broker_that_runs_it_also_while_it_drains() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let (valve, (say, said)) = (Valve::shut(), async_channel::bounded::<Topology>(2));
        let group = topic.group("g").with((broker.clone(), valve.clone(), say));
        let group = group.run(async |n: Message<u64>, (broker, valve, say): (Broker, Valve, _)| {
            valve.pass(*n).await;
            let say: async_channel::Sender<Topology> = say;
            say.send(broker.topology().await?).await?;
            Ok(())
        });
        group.await.unwrap();
        topic.publish_all([1, 2]).await.unwrap();
        valve.next().await;
        valve.let_through(1);
        let shown = said.recv().await.unwrap();
        assert!(!shown.draining);
        let stats = balanced(shown.group("t", "g").unwrap().stats.clone());
        assert!(stats.in_flight >= 1 && stats.lag == 2, "{stats:?}");
        valve.next().await;
        let report = begun(broker.shutdown_within(secs(20))).await;
        valve.let_through(1);
        let shown = said.recv().await.unwrap();
        assert!(shown.draining && shown.group("t", "g").is_some());
        assert_eq!(report.await.lost(), 0);
        assert_eq!(broker.topology().await, Err(Closed));
    });
}

/// However often it is asked while topics come and go: every answer is whole, and the books in it balance.
#[test]
fn a_picture_that_is_taken_while_topics_and_groups_come_and_go_is_whole() {
    every::seed(40, |sim| async move {
        let broker = Broker::start().unwrap();
        let kept = broker.topic::<u64>("kept").open().await.unwrap();
        kept.group("g").run_fn(|_| Ok(())).await.unwrap();
        let (other, of) = (broker.clone(), kept.clone());
        let churn = every::spawn("churn", async move {
            for n in 0..20 {
                let topic = other.topic::<u64>("other").open().await.unwrap();
                let group = topic.group("g").run_fn(|_| Ok(())).await.unwrap();
                topic.publish(n).await.unwrap();
                of.publish(n).await.unwrap();
                if n % 2 == 0 {
                    group.delete().await.unwrap();
                }
                topic.delete().await.unwrap();
            }
        });
        for _ in 0..20 {
            let topology = broker.topology().await.unwrap();
            let kept = topology.group("kept", "g").unwrap();
            balanced(kept.stats.clone());
            assert_eq!((kept.stats.state, kept.consumers.len()), (GroupState::Running, 1));
            for group in topology.topics.iter().flat_map(|topic| &topic.groups) {
                balanced(group.stats.clone());
            }
            crate::kit::yield_now().await;
        }
        churn.await;
        sim.settle().await;
        let taken = broker.topology();
        broker.shutdown().await;
        assert_eq!(taken.await, Err(Closed));
    });
}
