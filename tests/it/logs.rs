//! Do logs keep the names that the docs promise, and does what a handler logs say which message it was at?

use std::fmt::Write as _;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::prelude::*;
use callboard::runtime::BoxFuture;
use callboard::sim::Sim;
use futures::FutureExt as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::actor_probe::{Do, Log, Probe};

/// Collects each event as `span{fields}:span{fields}: message fields`.
#[derive(Clone, Default)]
struct Collect(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let name = if field.name() == "message" { String::new() } else { format!("{}=", field.name()) };
        write!(self.0, " {name}{value:?}").unwrap();
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut text = Text(attributes.metadata().name().to_string());
        attributes.record(&mut text);
        context.span(id).unwrap().extensions_mut().insert(text);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut text = Text(String::new());
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            text.0.push_str(&format!("[{}]", span.extensions().get::<Text>().unwrap().0));
        }
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
}

/// Runs `body` in the simulator and answers what it logged.
pub(crate) fn logs_of(level: Level, body: impl Future<Output = ()>) -> Vec<String> {
    let collect = Collect::default();
    let filter = tracing_subscriber::filter::LevelFilter::from_level(level);
    let subscriber = tracing_subscriber::registry().with(filter).with(collect.clone());
    // Why: while there is one subscriber only, tracing lets the thread that meets a span first decide for all threads
    // whether anybody wants it. That thread may be of another test, which listens to nothing.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::subscriber::with_default(subscriber, || Sim::new(1).block_on(body));
    std::mem::take(&mut collect.0.lock().unwrap())
}

fn logs_at(level: Level) -> Vec<String> {
    logs_of(level, async {
        let broker = Broker::start().unwrap();
        let orders = broker.topic::<u32>("orders").open().await.unwrap();
        let billing = orders.group("billing").retry(Retry::none());
        let handle = async |_| {
            tracing::info!("in the handler");
            Err(Fault::new("no such customer"))
        };
        billing.run(handle).await.unwrap();
        orders.publish(7).await.unwrap();
        let full = broker.topic::<u32>("full").capacity(1).open().await.unwrap();
        full.publish(7).await.unwrap();
        let sim = Sim::current().unwrap();
        let six_seconds = sim.sleep(Duration::from_secs(6));
        futures::future::select(Box::pin(full.publish(8)), Box::pin(six_seconds)).await;
        broker.shutdown().await;
    })
}

#[test]
fn an_event_of_a_handler_lies_in_the_span_of_its_lease_and_of_its_delivery_if_asked_for() {
    let lease = "[lease topic=orders group=billing consumer=1 first=0 messages=1]";
    let within = |logs: &[String]| logs.iter().find(|log| log.ends_with("in the handler")).cloned().unwrap();
    assert_eq!(within(&logs_at(Level::INFO)), " in the handler");
    assert_eq!(within(&logs_at(Level::DEBUG)), format!("{lease} in the handler"));
    let traced = within(&logs_at(Level::TRACE));
    assert!(
        traced.starts_with(&format!("{lease}[delivery id=")) && traced.contains("-0 attempt=1]"),
        "{traced}"
    );
}

/// G17
#[test]
fn an_actor_that_waits_for_itself_is_warned_of_once() {
    let warnings = |wait: fn(Address<Do>) -> BoxFuture| {
        let logs = logs_of(Level::WARN, async move {
            let probe = Probe::new(&Log::default()).spawn_with(1);
            let own = probe.downgrade();
            let run = Do::Run(Box::new(move |_| wait(own.upgrade().unwrap())));
            probe.send(run).await.unwrap();
            Sim::current().unwrap().settle().await;
            probe.kill().await;
        });
        let about = "an actor waits for itself in its own handler actor=probe wait=";
        logs.iter().filter_map(|log| Some(log.split_once(about)?.1.to_owned())).collect::<Vec<_>>()
    };
    let room = |own: Address<Do>| async move { drop(own.send(Do::Note(1)).await) }.boxed();
    assert_eq!(warnings(room), ["\"for room in its mailbox\""]);
    assert_eq!(warnings(|own| own.ended().map(drop).boxed()), ["\"for its own end\""]);
    assert_eq!(warnings(|own| own.stop_now().map(drop).boxed()), ["\"for its own end\""]);
    assert!(warnings(|own| async move { drop(own.try_send(Do::Note(1))) }.boxed()).is_empty());
}

#[test]
fn the_events_have_the_names_that_the_docs_promise() {
    let logs = logs_at(Level::DEBUG);
    let has = |text: &str| assert!(logs.iter().any(|log| log.starts_with(text)), "no {text:?} in {logs:#?}");
    has(" broker started runtime=");
    has(" topic opened topic=orders capacity=1024 payload=\"u32\"");
    has(" group opened topic=orders group=billing");
    has(" delivery failed topic=orders group=billing error=no such customer");
    has(" dead letter topic=orders group=billing id=");
    has(" publishers blocked topic=full why=the topic has no group");
    has(" broker stopped");
}
