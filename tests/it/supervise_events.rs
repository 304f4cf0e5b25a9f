//! Do the events of supervision keep the names that its docs promise?

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::actor::System;
use callboard::sim::Sim;
use callboard::supervise::{Backoff, Intensity, Supervisor};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::supervise_probe::{Stage, Tell, forever, hold};

const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeSet<(Level, &'static str)>>>);

impl<S: Subscriber> Layer<S> for Names {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        if about.target() == "callboard::supervise" {
            self.0.lock().unwrap().insert((*about.level(), about.name()));
        }
    }
}

async fn one_of_everything() {
    let stage = Stage::new();
    let mut tree = Supervisor::one_for_one(&System::start().unwrap()).intensity(Intensity::new(2, 1000 * MS));
    let a = tree.child(stage.spec("a").backoff(Backoff::fixed(MS)).keep_mailbox(false)).unwrap();
    let b = stage.spec_with("b", |unit| unit.stopping(forever)).stop_timeout(MS);
    tree.child(b).unwrap();
    let handle = tree.start().await.unwrap();
    let open = hold(&a).await;
    a.send(Tell::Fail).await.unwrap();
    a.send(Tell::Note(1)).await.unwrap();
    drop(open);
    for message in [Tell::Leave, Tell::Panic] {
        let sim = Sim::current().unwrap();
        sim.sleep(10 * MS).await;
        a.send(message).await.unwrap();
    }
    assert!(handle.ended().await.escalated().is_some());
}

#[test]
fn the_events_have_the_names_that_the_docs_promise() {
    const CHILD: &str = "CB_TEST_CHILD";
    if std::env::var_os(CHILD).is_none() {
        // Why a process of its own: which events are on is one setting for all the threads of a process.
        let name = "supervise_events::the_events_have_the_names_that_the_docs_promise";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let output = alone.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let names = Names::default();
    let subscriber = tracing_subscriber::registry().with(names.clone());
    tracing::subscriber::with_default(subscriber, || Sim::new(1).block_on(one_of_everything()));
    let expected = [
        (Level::ERROR, "supervisor_gave_up"),
        (Level::WARN, "child_failed"),
        (Level::WARN, "child_killed"),
        (Level::WARN, "mailbox_cleared"),
        (Level::INFO, "child_restarts"),
        (Level::INFO, "supervisor_ended"),
        (Level::INFO, "supervisor_started"),
        (Level::DEBUG, "child_ended"),
        (Level::DEBUG, "child_started"),
        (Level::DEBUG, "child_starting"),
        (Level::DEBUG, "supervisor_starting"),
    ];
    assert_eq!(*names.0.lock().unwrap(), BTreeSet::from(expected));
}
