//! What does a broker say of a directory that it can't have, or that goes away, and what goes on? (G20, G21, G22)

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use callboard::broker::{AckError, ErrorKind, PublishError, Raw};
use callboard::prelude::*;
use futures::StreamExt as _;

use crate::process::{Process, TempDir, builder, command, run};

pub(crate) fn on_tokio(test: impl Future<Output = ()>) {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    tokio.unwrap().block_on(test);
}

pub(crate) async fn opened(dir: &Path) -> (Broker, Topic<String>) {
    let broker = builder(dir).open().await.unwrap();
    let orders = broker.topic::<String>("orders").durable(Raw).capacity(100_000).open().await.unwrap();
    (broker, orders)
}

/// Why the directory can't be opened.
async fn refused(dir: &Path) -> String {
    builder(dir).open().await.unwrap_err().to_string()
}

/// A message of a page, so that files are full soon.
pub(crate) fn page(number: usize) -> String {
    format!("{number} {}", "x".repeat(4000))
}

pub(crate) fn number(page: &str) -> usize {
    page.split(' ').next().unwrap().parse().unwrap()
}

/// Publishes pages until one is refused. Answers how many were confirmed, and the refusal, which gave the page back.
pub(crate) async fn fill(orders: &Topic<String>, first: usize) -> (usize, PublishError<String>) {
    for next in first.. {
        assert!(next < first + 5000, "the disk never refuses");
        if let Err(error) = orders.publish(page(next)).await {
            let text = error.to_string();
            assert!(!text.contains('\n'), "{text}");
            return (next - first, error);
        }
    }
    unreachable!("the numbers end")
}

/// Takes so many pages, in their order from this number on, and acks them.
pub(crate) async fn take(stream: &mut DeliveryStream<String>, pages: std::ops::Range<usize>) {
    for expected in pages {
        let order = stream.next().await.unwrap();
        assert_eq!(number(&order), expected);
        order.ack().unwrap();
    }
}

/// G22: one directory, one broker, whoever asks; and a kill frees it.
#[test]
fn two_processes_cant_have_one_directory() {
    let dir = TempDir::new("two");
    let mut holder = Process::start(&mut command("hold", &dir.0));
    assert_eq!(holder.line().as_deref(), Some("open"));
    let said = run(&mut command("try", &dir.0));
    let expected =
        format!("the broker was not started: {} is open in another process or broker", dir.0.display());
    assert_eq!(said, [expected]);
    holder.kill();
    holder.end();
    assert_eq!(run(&mut command("try", &dir.0)), ["open, with 1 order"]);
}

/// G21: what is somebody else's is left alone.
#[test]
fn a_directory_that_is_not_ours_is_refused_and_left_as_it_is() {
    on_tokio(async {
        let dir = TempDir::new("theirs");
        let precious = dir.0.join("thesis.txt");
        fs::write(&precious, "chapter one").unwrap();
        let expected = "thesis.txt is in the way: the directory is neither empty nor a log";
        assert!(refused(&dir.0).await.ends_with(expected));
        let mut names: Vec<_> =
            fs::read_dir(&dir.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| name != "LOCK");
        assert_eq!(names, ["thesis.txt"]);
        assert!(refused(&precious).await.ends_with(expected), "a file is no directory");

        // Once it is out of the way a broker starts; and what comes later is left alone too.
        fs::rename(&precious, dir.0.with_extension("thesis")).unwrap();
        let (broker, orders) = opened(&dir.0).await;
        orders.publish("one".into()).await.unwrap();
        broker.shutdown().await;
        fs::rename(dir.0.with_extension("thesis"), &precious).unwrap();
        let (broker, orders) = opened(&dir.0).await;
        assert_eq!(orders.stats().await.unwrap().unsettled, 1);
        broker.shutdown().await;
        assert_eq!(fs::read_to_string(&precious).unwrap(), "chapter one");
    });
}

#[test]
fn a_directory_may_have_any_name_and_be_behind_a_link() {
    on_tokio(async {
        let dir = TempDir::new("names");
        let strange = dir.0.join(OsStr::from_bytes(b"two words \xff\xfe"));
        let (broker, orders) = opened(&strange.join("deeper down")).await;
        orders.publish("one".into()).await.unwrap();
        broker.shutdown().await;
        let link = dir.0.join("link");
        symlink(&strange, &link).unwrap();
        let (broker, orders) = opened(&link.join("deeper down")).await;
        assert_eq!(orders.stats().await.unwrap().unsettled, 1);
        // Two ways to one directory: still one directory.
        assert!(
            refused(&strange.join("deeper down")).await.ends_with("is open in another process or broker")
        );
        broker.shutdown().await;

        let link = dir.0.join("link to the log");
        symlink(strange.join("deeper down"), &link).unwrap();
        let (broker, orders) = opened(&link).await;
        assert_eq!(orders.stats().await.unwrap().unsettled, 1);
        broker.shutdown().await;
        let nowhere = dir.0.join("nowhere");
        symlink(dir.0.join("not there"), &nowhere).unwrap();
        let text = refused(&nowhere).await;
        assert!(text.contains("nowhere") && text.contains("No such file or directory"), "{text}");
    });
}

/// G20, G22: the directory goes away under the broker, and comes back.
#[test]
fn a_directory_that_vanished_ends_all_confirmations_and_nothing_confirmed_is_lost() {
    on_tokio(async {
        let dir = TempDir::new("vanished");
        let (data, away) = (dir.0.join("data"), dir.0.join("away"));
        let (broker, orders) = opened(&data).await;
        let mut stream = orders.group("audit").stream().await.unwrap();
        for number in 0..3 {
            orders.publish(page(number)).await.unwrap();
        }
        fs::rename(&data, &away).unwrap();
        let (more, error) = fill(&orders, 3).await;
        let confirmed = 3 + more;
        // Nobody can know of this one: it may have been in what the disk did not finish.
        assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with("unknown whether published: ") && text.contains("No such file or directory"),
            "{text}"
        );
        assert_eq!(number(&error.into_inner()), confirmed);
        let error = orders.publish(page(confirmed)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().contains("the log failed before and must be opened anew"), "{error}");

        // Consumers go on; only what asks the disk hears of it.
        take(&mut stream, 0..confirmed - 1).await;
        let last = stream.next().await.unwrap();
        assert_eq!(last.ack_durable().await, Err(AckError::NotStored));
        drop(stream);
        broker.shutdown().await;

        fs::rename(&away, &data).unwrap();
        let (broker, orders) = opened(&data).await;
        let mut stream = orders.group("audit").stream().await.unwrap();
        let first = stream.next().await.unwrap();
        assert!(first.maybe_redelivered());
        let from = number(&first);
        first.ack().unwrap();
        take(&mut stream, from + 1..confirmed).await;
        let left = orders.stats().await.unwrap();
        assert!(left.accepted >= confirmed as u64, "{left:?}");
        orders.publish("it works again".into()).await.unwrap();
        drop(stream);
        broker.shutdown().await;
    });
}

/// A directory that nobody may write to.
#[test]
fn a_directory_without_the_right_to_write_is_refused() {
    on_tokio(async {
        let dir = TempDir::new("rights");
        let data = dir.0.join("data");
        let (broker, orders) = opened(&data).await;
        orders.publish("one".into()).await.unwrap();
        broker.shutdown().await;
        let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        allow(&dir.0, 0o555);
        allow(&data.join("LOCK"), 0o444);
        if fs::write(dir.0.join("probe"), "").is_ok() {
            println!(
                "skipped: this user may write everywhere, as root may; a read-only file system is tested instead"
            );
            return;
        }
        let (text, new) = (refused(&data).await, refused(&dir.0.join("new")).await);
        allow(&data.join("LOCK"), 0o644);
        allow(&dir.0, 0o755);
        assert!(text.contains("LOCK: Permission denied"), "{text}");
        assert!(new.contains("create of") && new.contains("Permission denied"), "{new}");
        let (broker, orders) = opened(&data).await;
        assert_eq!(orders.stats().await.unwrap().unsettled, 1);
        broker.shutdown().await;
    });
}

/// G1, G20: more is published at once than one of the journal's files has room for.
#[test]
fn a_burst_larger_than_a_file_of_the_journal_is_there_when_it_was_confirmed() {
    on_tokio(async {
        let dir = TempDir::new("burst");
        let (broker, orders) = opened(&dir.0).await;
        let ids = orders.publish_all((0..500).map(page)).await.unwrap();
        assert_eq!(ids.len(), 500);
        broker.shutdown().await;
        let sizes = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        let largest = (0..4).map(|slot| sizes(&dir.0.join(format!("journal/{slot}.j")))).max();
        let (broker, orders) = opened(&dir.0).await;
        assert_eq!(orders.stats().await.unwrap().unsettled, 500);
        let mut stream = orders.group("audit").stream().await.unwrap();
        take(&mut stream, 0..500).await;
        drop(stream);
        broker.shutdown().await;
        assert_eq!(largest, Some(64 << 10), "none of the journal's files has grown");
    });
}

/// G20, G21: what the disk changed or lost is refused, by file and place; put back as it was, all is there.
#[test]
fn a_flipped_bit_and_a_missing_file_are_refused_by_name() {
    on_tokio(async {
        let dir = TempDir::new("flipped");
        let (broker, orders) = opened(&dir.0).await;
        for number in 0..10 {
            orders.publish(page(number)).await.unwrap();
        }
        broker.shutdown().await;
        let (journal, checkpoint) = (dir.0.join("journal/0.j"), dir.0.join("checkpoint"));
        let whole = fs::read(&journal).unwrap();
        for at in [9000, 20_000, 40_000] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&journal, &flipped).unwrap();
            let text = refused(&dir.0).await;
            let place = format!("{} is damaged at byte ", journal.display());
            let (_, place) = text.split_once(&place).unwrap_or_else(|| panic!("{text}"));
            let damaged: usize = place.split(',').next().unwrap().parse().unwrap();
            assert!((damaged..damaged + 4200).contains(&at) && place.contains("lsn"), "byte {at}: {text}");
            assert!(fs::read(&journal).unwrap() == flipped, "nothing is changed");
        }
        fs::write(&journal, &whole).unwrap();
        for gone in [&journal, &checkpoint] {
            let kept = fs::read(gone).unwrap();
            fs::remove_file(gone).unwrap();
            let text = refused(&dir.0).await;
            assert!(text.contains(&*gone.to_string_lossy()) && text.contains("is missing"), "{text}");
            fs::write(gone, kept).unwrap();
        }
        let (broker, orders) = opened(&dir.0).await;
        let mut stream = orders.group("audit").stream().await.unwrap();
        take(&mut stream, 0..10).await;
        drop(stream);
        broker.shutdown().await;
    });
}
