//! Does a distributed trace go on through handlers, from topic to topic, and does nobody else pay for it? (G11, G24)

use std::sync::{Arc, Mutex};

use callboard::broker::TraceContext;
use callboard::prelude::*;
use callboard::sim::Sim;
use futures::{SinkExt as _, StreamExt as _};
use tracing::Level;

use crate::every;
use crate::logs::logs_of;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn parent() -> TraceContext {
    PARENT.parse().unwrap()
}

/// Publishes its message to the next topic, in each way there is.
async fn pass_on(n: Message<u64>, next: Topic<u64>) -> Result<(), Fault> {
    next.publish(*n + 1).await?;
    next.try_publish(*n + 2)?;
    next.publish_all([*n + 3]).await.map_err(|_| Fault::new("full"))?;
    next.sink().send(*n + 4).await.map_err(|_| Fault::new("full"))?;
    next.message(*n + 5).header("tenant", "acme").publish().await?;
    Ok(())
}

#[test]
fn what_a_handler_publishes_continues_the_trace_of_its_message() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let first = broker.topic::<u64>("first").open().await.unwrap();
        let second = broker.topic::<u64>("second").open().await.unwrap();
        let mut stream = second.group("g").stream().await.unwrap();
        first.group("g").with(second.clone()).run(pass_on).await.unwrap();
        let message = first.message(10).header("TraceParent", PARENT).header("tracestate", "a=1,b=2");
        message.publish().await.unwrap();
        let mut spans = Vec::new();
        for n in 11..=15 {
            let delivery = stream.next().await.unwrap();
            let context = delivery.trace_context().unwrap();
            assert_eq!((**delivery, context.trace_id()), (n, parent().trace_id()));
            assert!(context.is_sampled() && context.span_id() != parent().span_id());
            assert_eq!(delivery.headers().text("tracestate"), Some("a=1,b=2"));
            let tenant = (n == 15).then_some("acme");
            assert_eq!(delivery.headers().text("tenant"), tenant);
            spans.push(context.span_id());
            delivery.ack().unwrap();
        }
        assert!(spans.iter().all(|span| *span == spans[0]), "they are children of one handling");
    });
}

#[test]
fn a_trace_that_nobody_began_is_not_made_and_one_that_a_handler_gives_goes_before() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let first = broker.topic::<u64>("first").open().await.unwrap();
        let second = broker.topic::<u64>("second").open().await.unwrap();
        let mut stream = second.group("g").stream().await.unwrap();
        let handle = async |n: Message<u64>, second: Topic<u64>| {
            let own = TraceContext::new(7, 8, false)?;
            second.message(*n).header("traceparent", own.to_string()).publish().await?;
            second.publish(*n).await?;
            Ok(())
        };
        first.group("g").with(second.clone()).run(handle).await.unwrap();
        let expect = async |stream: &mut DeliveryStream<u64>, expected: Option<u128>| {
            let delivery = stream.next().await.unwrap();
            assert_eq!(delivery.trace_context().map(TraceContext::trace_id), expected, "of {}", **delivery);
            assert_eq!(delivery.headers().is_empty(), expected.is_none());
            delivery.ack().unwrap();
        };
        // A message without a context, before and after one that has one; and one that can't be read.
        first.publish(1).await.unwrap();
        expect(&mut stream, Some(7)).await;
        expect(&mut stream, None).await;
        first.message(2).header("traceparent", PARENT).publish().await.unwrap();
        expect(&mut stream, Some(7)).await;
        expect(&mut stream, Some(parent().trace_id())).await;
        for bad in [&PARENT[1..], "00-0"] {
            first.message(3).header("traceparent", bad).publish().await.unwrap();
            expect(&mut stream, Some(7)).await;
            expect(&mut stream, None).await;
        }
        second.publish(4).await.unwrap();
        expect(&mut stream, None).await;
    });
}

#[test]
fn whoever_pulls_says_which_message_it_follows() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let mut stream = topic.group("g").stream().await.unwrap();
        topic.message(1).header("traceparent", PARENT).header("tracestate", "a=1").publish().await.unwrap();
        let first = stream.next().await.unwrap();
        topic.publish(2).await.unwrap();
        topic.message(3).follow(&first).publish().await.unwrap();
        first.ack().unwrap();
        let second = stream.next().await.unwrap();
        assert_eq!(second.trace_context(), None);
        topic.message(4).follow(&second).publish().await.unwrap();
        let third = stream.next().await.unwrap();
        let context = third.trace_context().unwrap();
        assert_eq!(context.trace_id(), parent().trace_id());
        assert_ne!(context.span_id(), parent().span_id());
        assert_eq!(third.headers().text("tracestate"), Some("a=1"));
        assert_eq!(stream.next().await.unwrap().trace_context(), None);
    });
}

/// G11.
#[test]
fn a_dead_letter_belongs_to_the_trace_of_its_message_and_each_attempt_is_a_span_of_its_own() {
    every::runtime(|| async {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").open().await.unwrap();
        let other = broker.topic::<u64>("other").open().await.unwrap();
        let mut seen = other.group("g").stream().await.unwrap();
        let fails = async |n: Message<u64>, other: Topic<u64>| {
            other.publish(*n).await?;
            Err(Fault::new("on purpose"))
        };
        let group = topic.group("g").retry(Retry::immediately().max_attempts(2)).with(other);
        group.run(fails).await.unwrap();
        let dead = broker.topic::<DeadLetter>("t.g.dead").open().await.unwrap();
        let mut letters = dead.group("clerk").stream().await.unwrap();
        topic.message(1).header("traceparent", PARENT).publish().await.unwrap();
        let letter = letters.next().await.unwrap();
        assert_eq!(letter.trace_context(), Some(parent()));
        assert_eq!(letter.message::<u64>().unwrap().trace_context(), Some(parent()));
        letter.ack().unwrap();
        let mut spans = Vec::new();
        for _ in 0..2 {
            let delivery = seen.next().await.unwrap();
            spans.push(delivery.trace_context().unwrap().span_id());
            delivery.ack().unwrap();
        }
        assert_ne!(spans[0], spans[1]);
    });
}

/// The spans of two deliveries, in which each handler logs its own name.
fn spans_of_a_chain() -> Vec<String> {
    let logs = logs_of(Level::TRACE, async {
        let broker = Broker::start().unwrap();
        let first = broker.topic::<u64>("first").open().await.unwrap();
        let second = broker.topic::<u64>("second").open().await.unwrap();
        let pass = async |n: Message<u64>, second: Topic<u64>| {
            tracing::info!("in the handlers");
            second.publish(*n).await?;
            Ok(())
        };
        first.group("g").with(second.clone()).run(pass).await.unwrap();
        let end = async |_| {
            tracing::info!("in the handlers");
            Ok(())
        };
        second.group("g").run(end).await.unwrap();
        first.message(1).header("traceparent", PARENT).publish().await.unwrap();
        broker.shutdown().await;
    });
    logs.into_iter().filter(|log| log.ends_with("in the handlers")).collect()
}

#[test]
fn the_spans_of_deliveries_link_across_topics() {
    let spans = spans_of_a_chain();
    let field = |at: usize, name: &str| {
        let (_, rest) = spans[at].split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("{}", spans[at]));
        rest.split([' ', ']']).next().unwrap().to_owned()
    };
    assert_eq!(spans.len(), 2);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!([field(0, "trace_id"), field(1, "trace_id")], [trace, trace]);
    assert_eq!(field(0, "parent_id"), "00f067aa0ba902b7");
    assert_eq!(field(1, "parent_id"), field(0, "span_id"));
    assert_ne!(field(1, "span_id"), field(0, "span_id"));
}

/// G24.
#[test]
fn the_same_seed_draws_the_same_span_ids() {
    let draw = |seed| {
        let drawn = Arc::new(Mutex::new(None));
        let kept = drawn.clone();
        Sim::new(seed).block_on(async move {
            let broker = Broker::start().unwrap();
            let topic = broker.topic::<u64>("t").open().await.unwrap();
            let mut stream = topic.group("g").stream().await.unwrap();
            topic.message(1).header("traceparent", PARENT).publish().await.unwrap();
            let first = stream.next().await.unwrap();
            topic.message(2).follow(&first).publish().await.unwrap();
            first.ack().unwrap();
            *kept.lock().unwrap() = stream.next().await.unwrap().trace_context();
            broker.shutdown().await;
        });
        let context = drawn.lock().unwrap().take();
        context.unwrap()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}
