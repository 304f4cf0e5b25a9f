//! Does `callboard inspect` tell people what is in a data directory, and scripts whether it is whole?
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use callboard::broker::Raw;
use callboard::prelude::*;

struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> TempDir {
        let dir = std::env::temp_dir().join(format!("callboard-inspect-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).unwrap();
        TempDir(dir)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Orders 0 to 3, of which billing has settled all but one; a letter.
async fn fill(dir: &Path) {
    let broker = Broker::builder().data_dir(dir).journal_file_bytes(64 << 10).open().await.unwrap();
    let orders = broker.topic::<String>("orders").durable(Raw).open().await.unwrap();
    let letters = broker.topic::<Vec<u8>>("letters").durable(Raw).open().await.unwrap();
    let billing = orders.group("billing").retry(Retry::fixed(Duration::from_secs(3600)));
    let billing = billing.run(async |order| match order.as_str() {
        "an anchor" => Err(Fault::new("no paper")),
        _ => Ok(()),
    });
    let billing = billing.await.unwrap();
    orders.message("an anvil".to_string()).header("tenant", "acme").publish().await.unwrap();
    for order in ["an anchor", "a bell", "two\nlines"] {
        orders.publish(order.to_string()).await.unwrap();
    }
    letters.publish(vec![0xff, 0, 1]).await.unwrap();
    while billing.stats().await.unwrap().acked < 3 {
        tokio::task::yield_now().await;
    }
    broker.shutdown_within(Duration::ZERO).await;
}

fn callboard(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let args = args.iter().map(|arg| arg.as_ref());
    Command::new(env!("CARGO_BIN_EXE_callboard")).args(args).output().unwrap()
}

/// What it prints, and how it ends.
#[track_caller]
fn says(code: i32, args: &[&dyn AsRef<std::ffi::OsStr>]) -> String {
    let Output { status, stdout, stderr } = callboard(args);
    let (out, error) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{out}{error}");
    assert_eq!(error.is_empty(), code < 2, "{out}{error}");
    if code < 2 { out } else { error }
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// Turns over a bit of the last place in the journal where these bytes stand.
fn damage(dir: &Path, payload: &str) {
    let file = dir.join("journal/0.j");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(payload.len()).rposition(|window| window == payload.as_bytes()).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
}

#[tokio::test]
async fn a_whole_directory_is_shown_and_its_messages_are_dumped() {
    let temp = TempDir::new("whole");
    let dir = temp.data();
    fill(&dir).await;
    let text = says(0, &[&"inspect", &dir]);
    println!("{text}");
    has(
        &text,
        &["not closed in order", "orders", "letters", "billing", "raw/1", "1..4", "damage: nothing seen"],
    );
    has(&says(0, &[&"inspect", &"--verify", &dir]), &["records", "damage: nothing\n"]);
    let text = says(0, &[&"inspect", &dir, &"--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let topic = &json["topics"][0];
    assert_eq!((&json["closed"], &json["locked"], &topic["next"]), (&false.into(), &false.into(), &4.into()));
    assert_eq!((&topic["codec"], &topic["groups"][0]["lag"]), (&"raw/1".into(), &1.into()));

    let text = says(0, &[&"inspect", &dir, &"--dump", &"orders"]);
    println!("{text}");
    // The first is settled, and of no more use.
    has(&text, &["1  20", "an anchor", "a bell", "3  20", "   two\n   lines\n"]);
    let text = says(0, &[&"inspect", &dir, &"--dump", &"orders", &"2..3"]);
    assert!(text.contains("a bell") && text.lines().count() == 2, "{text}");
    has(&says(0, &[&"inspect", &dir, &"--dump", &"letters"]), &["0xff0001"]);
}

#[tokio::test]
async fn a_damaged_directory_is_shown_and_salvaged_and_goes_on() {
    let temp = TempDir::new("damaged");
    let (dir, saved) = (temp.data(), temp.0.join("saved"));
    fill(&dir).await;
    damage(&dir, "a bell");
    let before = std::fs::read(dir.join("journal/0.j")).unwrap();
    let text = says(1, &[&"inspect", &dir]);
    println!("{text}");
    has(&text, &["it can't be opened", "journal/0.j is damaged at byte", "--salvage"]);
    has(&says(1, &[&"inspect", &dir, &"--dump", &"orders"]), &["an anchor", "two", "is damaged at byte"]);
    let opened = Broker::builder().data_dir(&dir).open().await;
    assert!(opened.is_err());
    let text = says(1, &[&"inspect", &dir, &"--salvage", &saved]);
    println!("{text}");
    has(&text, &["given up\n", "the record 2 of orders"]);
    assert!(std::fs::read(dir.join("journal/0.j")).unwrap() == before);
    has(&says(2, &[&"inspect", &dir, &"--salvage", &saved]), &["is in the way"]);
    has(&says(0, &[&"inspect", &saved, &"--verify"]), &["damage: nothing\n"]);
    has(&says(0, &[&"inspect", &saved, &"--dump", &"orders", &"2"]), &["callboard.lost"]);

    let broker = Broker::builder().data_dir(&saved).open().await.unwrap();
    let orders = broker.topic::<String>("orders").durable(Raw).open().await.unwrap();
    assert_eq!(orders.stats().await.unwrap().unsettled, 1, "the anchor");
    assert_eq!(orders.publish("a rope".to_string()).await.unwrap().offset(), 4);
    let text = says(0, &[&"inspect", &saved]);
    has(&text, &["open in another process"]);
    broker.shutdown_within(Duration::ZERO).await;
}

#[test]
fn what_cannot_be_done_ends_with_two() {
    let temp = TempDir::new("wrong");
    std::fs::write(temp.0.join("notes"), "mine").unwrap();
    has(&says(2, &[&"inspect", &temp.0]), &["notes is in the way"]);
    has(&says(2, &[&"inspect", &temp.0.join("nowhere")]), &["nowhere"]);
    has(&says(2, &[&"inspect"]), &["which directory", "--help"]);
    has(&says(2, &[&"fly"]), &["no command fly"]);
    has(&says(0, &[&"--help"]), &["inspect DIR", "--salvage", "Exit code"]);
    assert_eq!(says(0, &[&"--version"]), format!("callboard {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(std::fs::read_dir(&temp.0).unwrap().count(), 1, "nothing was made");
}
