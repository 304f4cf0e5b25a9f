//! Kills a process that publishes, settles, retries and buries, again and again: what it confirmed is there, in order.
//! (G1, G6, G8, G10, G11, G20)

use std::path::Path;
use std::time::Duration;

use callboard::broker::{Durability, Raw};
use callboard::prelude::*;
use futures::StreamExt as _;
use futures::future::{join_all, join3, ready};

use crate::oracle::Oracle;
use crate::process::{Process, TempDir, builder, command, say, was_killed};

const TOPICS: [&str; 3] = ["orders", "prices", "clicks"];
const WRITERS: u32 = 2;
/// What `billing` gives a message before it buries it.
pub(crate) const ATTEMPTS: u32 = 3;

/// Whether `billing` fails at it the first time.
fn stumbles(number: u32) -> bool {
    number % 7 == 3
}

/// Whether `billing` fails at it every time.
pub(crate) fn is_bad(number: u32) -> bool {
    number % 31 == 5
}

#[test]
fn what_was_confirmed_survives_kills_at_any_moment() {
    let rounds: u32 = std::env::var("CB_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let dir = TempDir::new("rounds");
    let mut oracle = Oracle::default();
    for life in 0..rounds {
        // Some end before, or while, the directory is opened.
        let most = if life % 5 == 4 { fastrand::u32(0..4) } else { fastrand::u32(20..2000) };
        let mut process = Process::start(&mut started(&dir.0, life, "publish"));
        oracle.begin(life);
        for _ in 0..most {
            let line = process.line().expect("it ended by itself");
            oracle.hear(&line);
        }
        process.kill();
        let (lines, status) = process.end();
        lines.iter().for_each(|line| oracle.hear(line));
        assert!(was_killed(status), "life {life}: {status}");
    }
    println!("{rounds} kills: {}", finish(&dir.0, rounds, &mut oracle));
}

/// Two last lives, that publish nothing. Answers what there was.
pub(crate) fn finish(dir: &Path, life: u32, oracle: &mut Oracle) -> String {
    let (lines, status) = Process::start(&mut started(dir, life, "finish")).end();
    oracle.begin(life);
    lines.iter().for_each(|line| oracle.hear(line));
    assert!(status.success(), "{status}");
    let found = oracle.check();

    // What was settled, and by a good end, is settled: another process finds nothing to do.
    let (lines, status) = Process::start(&mut started(dir, life + 1, "finish")).end();
    assert!(status.success(), "{status}");
    let again: Vec<_> = lines.iter().filter(|line| *line != "begins").collect();
    assert!(again.is_empty(), "{again:?}");
    found
}

pub(crate) fn started(dir: &Path, life: u32, task: &str) -> std::process::Command {
    let mut command = command("work", dir);
    let runtime = if life.is_multiple_of(2) { "tokio" } else { "smol" };
    command.env("CB_LIFE", life.to_string()).env("CB_TASK", task).env("CB_RUNTIME", runtime);
    command
}

/// The role: publishes until it is killed; or publishes nothing, settles what is left, and shuts down.
pub(crate) async fn work(dir: &Path) {
    let life: u32 = std::env::var("CB_LIFE").unwrap().parse().unwrap();
    let publishes = std::env::var("CB_TASK").unwrap() == "publish";
    say("begins");
    let broker = builder(dir).open().await.unwrap();
    let mut topics = Vec::new();
    for name in TOPICS {
        let topic = broker.topic::<String>(name).durable(Raw).capacity(4096);
        topics.push(topic.durability(durability(name)).open().await.unwrap());
    }
    let readers = join_all(topics.iter().map(async |topic| {
        bill(topic).await;
        (audit(topic).await, clerk(&broker, topic).await)
    }));
    let (audits, clerks): (Vec<_>, Vec<_>) = readers.await.into_iter().unzip();
    let publishing = async {
        if publishes {
            join_all(
                topics.iter().flat_map(|topic| (0..WRITERS).map(move |writer| write(topic, writer, life))),
            )
            .await;
        }
        // Letters that are made while others are buried.
        broker.idle().await.unwrap();
        broker.shutdown().await;
    };
    join3(publishing, join_all(audits), join_all(clerks)).await;
}

/// What a publish waits for; where the power goes out, all of them for the disk, or none.
fn durability(topic: &str) -> Durability {
    let waits = std::env::var("CB_SYNC").is_ok_and(|sync| sync == "every");
    match topic {
        _ if waits_for_nothing() => Durability::Interval(Duration::from_secs(3600)),
        "clicks" if !waits => Durability::Interval(Duration::from_millis(5)),
        _ => Durability::EveryPublish,
    }
}

fn waits_for_nothing() -> bool {
    std::env::var("CB_SYNC").is_ok_and(|sync| sync == "never")
}

/// Publishes for ever; one writer of each topic five at a time.
async fn write(topic: &Topic<String>, writer: u32, life: u32) {
    let name = topic.name();
    // A line of text, and now and then a page.
    let text = |number: u32| {
        format!("{life} {writer} {number} {}", "x".repeat(if number % 16 == 9 { 3000 } else { 20 }))
    };
    let confirmed = |id: MessageId, number: u32| {
        say(format!("confirmed {name} {} {life} {writer} {number}", id.offset()))
    };
    for number in (0..).step_by(5) {
        if writer == 0 {
            let ids = topic.publish_all((number..number + 5).map(text)).await.unwrap();
            (number..).zip(ids).for_each(|(number, id)| confirmed(id, number));
        } else {
            for number in number..number + 5 {
                confirmed(topic.publish(text(number)).await.unwrap(), number);
            }
        }
    }
}

fn numbers(text: &str) -> String {
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn got(topic: &str, group: &str, message: &Message<String>) -> String {
    let (offset, numbers) = (message.id().offset(), numbers(message));
    let (attempt, maybe) = (message.attempt(), message.maybe_redelivered());
    format!("got {topic} {group} {offset} {numbers} {attempt} {maybe}")
}

/// A handler that stumbles over some messages, and can't handle others at all.
async fn bill(topic: &Topic<String>) {
    let name = topic.name().to_string();
    let retry = Retry::fixed(Duration::from_millis(1)).max_attempts(ATTEMPTS);
    let group = topic.group("billing").retry(retry).dead_letter_capacity(4096).with(name);
    let run = group.run(async |order, name: String| {
        say(got(&name, "billing", &order));
        let number: u32 = order.split(' ').nth(2).unwrap().parse()?;
        if is_bad(number) || (stumbles(number) && order.attempt() == 1) {
            return Err(Fault::new("it stumbled"));
        }
        say(format!("billed {name} {}", order.id().offset()));
        Ok(())
    });
    run.await.unwrap();
}

/// A stream whose acks wait for the disk.
async fn audit(topic: &Topic<String>) -> impl Future<Output = ()> + use<> {
    let name = topic.name().clone();
    let stream = topic.group("audit").stream().await.unwrap();
    let named = name.clone();
    let stream = stream.inspect(move |order| say(got(named.as_str(), "audit", &order.to_message())));
    stream.for_each_concurrent(64, move |order| {
        let name = name.clone();
        async move {
            let offset = order.id().offset();
            if waits_for_nothing() {
                order.ack().unwrap();
            } else if order.ack_durable().await.is_ok() {
                say(format!("settled {name} {offset}"));
            }
        }
    })
}

/// Reads what `billing` gave up.
async fn clerk(broker: &Broker, topic: &Topic<String>) -> impl Future<Output = ()> + use<> {
    let dead = broker.topic::<DeadLetter>(&format!("{}.billing.dead", topic.name())).open().await.unwrap();
    dead.group("clerk").stream().await.unwrap().for_each(|letter| {
        let text = letter.message::<String>().unwrap();
        let (offset, attempts) = (letter.original_id().offset(), letter.attempts());
        say(format!("buried {} {offset} {} {attempts}", letter.original_topic(), numbers(&text)));
        letter.ack().unwrap();
        ready(())
    })
}
