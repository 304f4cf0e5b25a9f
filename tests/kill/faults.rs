//! What does a broker do when a real disk is full, or read-only, and what when that is over? (G1, G20, G22)
//!
//! A disk of its own is a tmpfs, mounted in a namespace of the process's own: no root is needed where users may make
//! those, and where they may not the test says so and is skipped.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use callboard::broker::ErrorKind;
use callboard::prelude::*;
use futures::StreamExt as _;

use crate::process::{TempDir, builder, run, say, shell};
use crate::refused::{fill, number, on_tokio, opened, page, take};

/// Plays what a test of this file, or of the one beside it, starts.
pub(crate) async fn play(role: &str, dir: &Path) {
    match role {
        "hold" => hold(dir).await,
        "try" => try_open(dir).await,
        "full" => full(dir).await,
        "limited" => limited(dir).await,
        "settled" => settled(dir).await,
        "read only" => read_only(dir).await,
        _ => panic!("there is no role {role:?}"),
    }
}

/// Has the directory open until it is killed.
async fn hold(dir: &Path) {
    let (_broker, orders) = opened(dir).await;
    orders.publish("one".into()).await.unwrap();
    say("open");
    futures::future::pending().await
}

async fn try_open(dir: &Path) {
    match builder(dir).open().await {
        Ok(broker) => {
            broker.shutdown().await;
            let (broker, orders) = opened(dir).await;
            say(format!("open, with {} order", orders.stats().await.unwrap().unsettled));
            broker.shutdown().await;
        }
        Err(error) => say(error),
    }
}

/// Runs a role with a disk of its own at its directory, of so many KiB. `false`: nobody lets us.
fn on_own_disk(role: &'static str, dir: &Path, size: u32) -> bool {
    let mount = |dir: &Path| {
        let mut probe = Command::new("unshare");
        probe.args(["-rm", "mount", "-t", "tmpfs", "none"]).arg(dir);
        probe.output().is_ok_and(|output| output.status.success())
    };
    if !mount(dir) {
        println!("skipped: `unshare -rm mount -t tmpfs` does not work for this user");
        return false;
    }
    let inside = format!("mount -t tmpfs -o size={size}k none \"$CB_DIR\" || exit 9");
    let script = shell(role, dir, &inside);
    let mut unshared = Command::new("unshare");
    unshared.arg("-rm").arg(script.get_program()).args(script.get_args());
    for (name, value) in script.get_envs() {
        unshared.env(name, value.unwrap_or_default());
    }
    println!("{}", run(&mut unshared).join("\n"));
    true
}

/// G1, G22.
#[test]
fn a_full_disk_fails_the_publish_and_nothing_else() {
    on_own_disk("full", &TempDir::new("full").0, 2048);
}

async fn full(dir: &Path) {
    let (data, ballast) = (dir.join("data"), dir.join("ballast"));
    // A mebibyte less for the broker.
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let (broker, orders) = opened(&data).await;
    let mut stream = orders.group("audit").stream().await.unwrap();
    let (confirmed, error) = fill(&orders, 0).await;
    say(format!("{confirmed} pages, then: {error}"));
    assert!(confirmed > 20, "{confirmed}");
    assert_eq!(error.kind(), ErrorKind::Storage);
    let text = error.to_string();
    assert!(text.contains("no space for") && text.contains("No space left on device"), "{text}");
    assert!(text.ends_with("publish it again when that is mended"), "{text}");
    assert_eq!(number(&error.into_inner()), confirmed, "the page comes back");

    // Consumers go on, and so they do in a broker that is started now.
    take(&mut stream, 0..5).await;
    drop(stream);
    broker.shutdown().await;
    let (broker, orders) = opened(&data).await;
    let mut stream = orders.group("audit").stream().await.unwrap();
    let first = stream.next().await.unwrap();
    // On a full disk the acks may have found no room.
    assert!(number(&first) <= 5, "{}", first.as_str());
    let from = number(&first);
    first.ack().unwrap();
    take(&mut stream, from + 1..10).await;

    // Some room, and it goes on by itself; then it is full once more.
    fs::remove_file(&ballast).unwrap();
    orders.publish(page(confirmed)).await.unwrap();
    let (more, error) = fill(&orders, confirmed + 1).await;
    say(format!("{more} more, then: {error}"));
    assert!(more > 20 && error.kind() == ErrorKind::Storage, "{more}, {error}");
    let all = confirmed + 1 + more;
    take(&mut stream, 10..all).await;
    drop(stream);
    broker.shutdown().await;
    let (broker, orders) = opened(&data).await;
    rest(&orders, all, all).await;
    broker.shutdown().await;
}

/// What is left of so many pages comes in order to the last one; of those that were taken before, it says that they may come
/// again (G8).
async fn rest(orders: &Topic<String>, taken: usize, all: usize) {
    let stats = orders.stats().await.unwrap();
    assert_eq!(stats.accepted, all as u64);
    let mut stream = orders.group("audit").stream().await.unwrap();
    let mut last = None;
    for _ in 0..stats.unsettled {
        let order = stream.next().await.unwrap();
        let number = number(&order);
        assert!(last.is_none_or(|last| number == last + 1), "{number} behind {last:?}");
        assert!(number >= taken || order.maybe_redelivered(), "{number} comes again, and doesn't say so");
        last = Some(number);
        order.ack().unwrap();
    }
    assert_eq!(last.unwrap_or(all - 1), all - 1);
}

/// A disk that the broker itself filled has room again once that is settled.
#[test]
fn what_is_settled_makes_room_on_a_full_disk() {
    for size in [400, 600, 1024, 1996] {
        on_own_disk("settled", &TempDir::new(format!("settled-{size}")).0, size);
    }
}

async fn settled(dir: &Path) {
    let (broker, orders) = opened(&dir.join("data")).await;
    let mut stream = orders.group("audit").stream().await.unwrap();
    let (confirmed, _) = fill(&orders, 0).await;
    take(&mut stream, 0..confirmed).await;
    orders.settled().await.unwrap();
    let (more, error) = fill(&orders, confirmed).await;
    assert!(more > 0, "all is settled, and still: {error}");
    drop(stream);
    broker.shutdown().await;
}

/// G22: the same where files may not grow, as with a quota. Who ignores SIGXFSZ is told, who does not is killed.
#[test]
fn files_that_may_not_grow_are_a_full_disk() {
    let dir = TempDir::new("limited");
    // Files of 96 KiB: the journal's are smaller, a topic's want to be larger.
    let said = run(&mut shell("limited", &dir.0, "trap '' XFSZ\nulimit -f 192"));
    let confirmed: usize = said.last().unwrap().parse().unwrap();
    on_tokio(async {
        let (broker, orders) = opened(&dir.0).await;
        rest(&orders, confirmed / 2, confirmed).await;
        orders.publish(page(confirmed)).await.unwrap();
        broker.shutdown().await;
    });

    // Where not even the journal may be so large, nothing is begun.
    let dir = TempDir::new("too limited");
    let said = run(&mut shell("try", &dir.0, "trap '' XFSZ\nulimit -f 32"));
    assert!(said[0].contains("no space for") && said[0].contains("File too large"), "{said:?}");
    assert_eq!(run(&mut shell("try", &dir.0, "")), ["open, with 0 order"]);
}

async fn limited(dir: &Path) {
    let (broker, orders) = opened(dir).await;
    let mut stream = orders.group("audit").stream().await.unwrap();
    let (confirmed, error) = fill(&orders, 0).await;
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    let text = error.to_string();
    assert!(text.contains("no space for") && text.contains("File too large"), "{text}");
    take(&mut stream, 0..confirmed / 2).await;
    drop(stream);
    broker.shutdown().await;
    say(confirmed);
}

/// G1, G22: a device that is full for ever, in the place of one file, and then not any more.
#[test]
fn one_file_without_room_fails_the_publish_until_it_has_some() {
    on_tokio(async {
        for file in ["journal/1.j", "checkpoint.new"] {
            let dir = TempDir::new("device");
            let (broker, orders) = opened(&dir.0).await;
            let mut stream = orders.group("audit").stream().await.unwrap();
            let full = dir.0.join(file);
            drop(fs::remove_file(&full));
            symlink("/dev/full", &full).unwrap();
            let (confirmed, error) = fill(&orders, 0).await;
            assert_eq!(error.kind(), ErrorKind::Storage, "{file}: {error}");
            assert!(error.to_string().contains(file.rsplit('/').next().unwrap()), "{error}");
            assert!(orders.publish(page(confirmed)).await.is_err(), "it stays so");
            take(&mut stream, 0..confirmed / 2).await;
            fs::remove_file(&full).unwrap();
            orders.publish(page(confirmed)).await.unwrap();
            drop(stream);
            broker.shutdown().await;
            let (broker, orders) = opened(&dir.0).await;
            let mut stream = orders.group("audit").stream().await.unwrap();
            take(&mut stream, confirmed / 2..confirmed + 1).await;
            drop(stream);
            broker.shutdown().await;
        }
    });
}

/// G22.
#[test]
fn a_read_only_file_system_is_refused_and_opens_when_it_is_not() {
    on_own_disk("read only", &TempDir::new("read-only").0, 2048);
}

async fn read_only(dir: &Path) {
    let data = dir.join("data");
    let (broker, orders) = opened(&data).await;
    orders.publish("one".into()).await.unwrap();
    broker.shutdown().await;
    let remount = |how: &str| {
        let done = Command::new("mount").args(["-o", how]).arg(dir).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).trim().to_string();
        if done.status.success() { Ok(()) } else { Err(said) }
    };
    match remount("remount,ro") {
        Err(said) if !said.contains("busy") => {
            return say(format!("skipped: this user may not remount: {said}"));
        }
        done => assert_eq!(done, Ok(()), "no file is open in it after the shutdown (G18)"),
    }
    for dir in [&data, &dir.join("new")] {
        let text = builder(dir).open().await.unwrap_err().to_string();
        assert!(text.contains("Read-only file system"), "{text}");
        say(text);
    }
    assert_eq!(remount("remount,rw"), Ok(()));
    let (broker, orders) = opened(&data).await;
    assert_eq!(orders.stats().await.unwrap().unsettled, 1);
    broker.shutdown().await;
}
