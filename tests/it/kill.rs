//! Does what a process confirmed outlive `kill -9`, and does what comes a second time say so?
//!
//! ```text
//!   parent ── starts ──▶ this binary again: 3 publishers ─▶ orders, clicks ─▶ groups billing, audit
//!          ◀── stdout ── "confirmed", "handled", "settled"
//!          ── SIGKILL ─▶ at any line, CB_ROUNDS times (10); the last child ends by itself, with nothing left
//! ```

#![expect(clippy::print_stdout, reason = "what a child says is what its parent checks")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use callboard::broker::{DataDirBuilder, Durability, Raw};
use callboard::prelude::*;
use futures::StreamExt as _;

use crate::every;

/// Set in the processes that are killed: the data directory, and the number of the round.
const DIR: &str = "CB_KILL_DIR";
const ROUND: &str = "CB_KILL_ROUND";

/// G1, G6, G8, G20, G22.
#[test]
fn what_was_confirmed_outlives_kill_9() {
    let rounds = std::env::var("CB_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    if let (Ok(dir), Ok(round)) = (std::env::var(DIR), std::env::var(ROUND)) {
        let (dir, round): (_, u32) = (dir.clone(), round.parse().unwrap());
        println!();
        return every::runtime(move || child(dir.clone(), round, round == rounds));
    }
    let dir = std::env::temp_dir().join(format!("callboard-it-{}-kill", std::process::id()));
    let (mut seen, begun) = (Seen::default(), now());
    for round in 0..=rounds {
        let mut child = start(&dir, round);
        let kill = match round {
            _ if round == rounds => usize::MAX,
            _ if round % 8 == 5 => fastrand::usize(0..8),
            _ => fastrand::usize(0..800),
        };
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for (count, line) in lines.enumerate() {
            let line = line.unwrap();
            if line == "open" && round < 2 {
                // Whoever is killed leaves no lock behind, and whoever lives has it.
                let second = smol::block_on(builder(&dir).open()).unwrap_err();
                assert!(second.to_string().contains("is open in another process or broker"), "{second}");
            }
            if count == kill {
                child.kill().unwrap();
            }
            seen.note(&line);
        }
        assert_eq!(child.wait().unwrap().success(), kill == usize::MAX, "round {round}");
    }
    seen.check();
    println!("{rounds} kills in {:?}: {}", begun.elapsed(), seen.summary());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long the rounds took on the wall is printed, and decides nothing"
)]
fn now() -> Instant {
    Instant::now()
}

fn builder(dir: &Path) -> DataDirBuilder {
    Broker::builder().data_dir(dir).journal_file_bytes(64 << 10)
}

/// Runs this file's test in a process of its own, on each runtime in turn.
fn start(dir: &Path, round: u32) -> Child {
    let runtime = match round % 3 {
        0 => "tokio-2",
        1 => "smol",
        _ => "tokio-1",
    };
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["kill::what_was_confirmed_outlives_kill_9", "--exact", "--nocapture"]);
    child.env_remove("CB_SEED").env_remove("CB_SEEDS").env("CB_RUNTIME", runtime);
    child.env(DIR, dir).env(ROUND, round.to_string()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What is killed: it says all that it is told and all that it does.
async fn child(dir: String, round: u32, last: bool) {
    let broker = builder(dir.as_ref()).open().await.unwrap();
    println!("open");
    let mut topics = Vec::new();
    for (name, durability) in
        [("orders", Durability::EveryPublish), ("clicks", Durability::Interval(Duration::from_millis(5)))]
    {
        let topic = broker.topic::<String>(name).capacity(300).durable(Raw).durability(durability).hold();
        let topic = topic.open().await.unwrap();
        let retry = Retry::immediately().max_attempts(1_000);
        let billing = topic.group("billing").consumers(2).retry(retry).with(name);
        let billing = billing.run(async |message, name: &'static str| {
            println!("handled {name} billing {} {}", *message, marked(&message));
            let number: u32 = message.rsplit('-').next().unwrap().parse().unwrap();
            if number % 7 == 3 && message.attempt() == 1 { Err(Fault::new("not at first")) } else { Ok(()) }
        });
        billing.await.unwrap();
        let mut audit = topic.group("audit").stream().await.unwrap();
        let audited = async move {
            while let Some(message) = audit.next().await {
                let text = message.to_string();
                println!("handled {name} audit {text} {}", marked(&message.to_message()));
                if text.ends_with('5') {
                    message.ack().unwrap();
                } else if message.ack_durable().await.is_ok() {
                    println!("settled {name} audit {text}");
                }
            }
        };
        drop(every::spawn("audit", audited));
        topic.release();
        topics.push((name, topic));
    }
    if last {
        for (_, topic) in &topics {
            topic.settled().await.unwrap();
        }
        broker.shutdown().await;
        return;
    }
    let mut publishers = Vec::new();
    for publisher in 0..3 {
        let topics = topics.clone();
        publishers.push(every::spawn("publisher", async move {
            for (number, (name, topic)) in (0..).zip(topics.iter().cycle().skip(publisher)) {
                let text = format!("{publisher}-{}", round * 1_000_000 + number);
                topic.publish(text.clone()).await.unwrap();
                println!("confirmed {name} {text}");
            }
        }));
    }
    futures::future::join_all(publishers).await;
}

fn marked(message: &Message<String>) -> &'static str {
    if message.maybe_redelivered() || message.attempt() > 1 { "marked" } else { "new" }
}

/// What all children have said.
#[derive(Default)]
struct Seen {
    /// Topic and text.
    confirmed: BTreeSet<(String, String)>,
    /// Group, topic and text: how often it was handled, and whether the disk has its ack.
    handled: BTreeMap<(String, String, String), (u32, bool)>,
    /// Of each topic and publisher: the last number that the audit saw for the first time.
    last: BTreeMap<(String, String), u32>,
}

impl Seen {
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["confirmed", topic, text] => {
                assert!(self.confirmed.insert((topic.into(), text.into())), "confirmed twice: {line}");
            }
            ["handled", topic, group, text, marked] => {
                let (times, settled) =
                    self.handled.entry((group.into(), topic.into(), text.into())).or_default();
                assert!(!*settled, "handled though the disk had its ack: {line}");
                assert!(*times == 0 || marked == "marked", "time {} and not marked: {line}", *times + 1);
                *times += 1;
                if (group, *times) == ("audit", 1) {
                    let (publisher, number) = text.split_once('-').unwrap();
                    let number = number.parse().unwrap();
                    let before = self.last.insert((topic.into(), publisher.into()), number);
                    assert!(before < Some(number), "out of order, after {before:?}: {line}");
                }
            }
            ["settled", topic, group, text] => {
                self.handled.get_mut(&(group.into(), topic.into(), text.into())).unwrap().1 = true;
            }
            _ => {}
        }
    }

    fn check(&self) {
        for (topic, text) in &self.confirmed {
            for group in ["billing", "audit"] {
                let key = (group.to_string(), topic.clone(), text.clone());
                assert!(self.handled.contains_key(&key), "{key:?} was confirmed and never handled");
            }
        }
    }

    fn summary(&self) -> String {
        let again: u32 = self.handled.values().map(|(times, _)| times - 1).sum();
        format!("{} confirmed, {} handled, {again} of them again", self.confirmed.len(), self.handled.len())
    }
}

/// Whoever trusts the test above wants to see what it would not let pass.
#[test]
fn the_parent_notices_what_is_lost_unmarked_or_out_of_order() {
    let fine =
        ["confirmed t 0-1", "handled t audit 0-1 new", "handled t billing 0-1 new", "settled t audit 0-1"];
    let ends = |lines: &[&str]| {
        let lines: Vec<String> = fine.iter().chain(lines).map(|line| line.to_string()).collect();
        let check = move || {
            let mut seen = Seen::default();
            lines.iter().for_each(|line| seen.note(line));
            seen.check();
        };
        std::panic::catch_unwind(check).map_err(|panic| *panic.downcast::<String>().unwrap())
    };
    assert_eq!(ends(&["handled t billing 0-1 marked", "running 1 test"]), Ok(()));
    for (lines, wrong) in [
        (["confirmed t 0-2", "handled t audit 0-2 new"], "was confirmed and never handled"),
        (["handled t billing 0-1 new", ""], "time 2 and not marked"),
        (["handled t audit 0-1 marked", ""], "though the disk had its ack"),
        (["handled t audit 0-0 new", ""], "out of order"),
        (["confirmed t 0-1", ""], "confirmed twice"),
    ] {
        let end = ends(&lines).unwrap_err();
        assert!(end.contains(wrong), "{end}");
    }
}
