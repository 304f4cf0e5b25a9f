//! Does a client hear nothing before it is in the log, also of what others did; and that it is not, where it can't be?

use std::time::Duration;

use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::LocalExecutor;

use super::desk::Desk;
use super::sessions::{Pipe, Place};
use crate::server::keep::{Fsync, Now};
use crate::server::session::End;
use crate::sim::{CrashKind, SimDisk};

/// Sessions over a world whose log works when it is asked to.
struct Stage {
    place: Place,
    desk: Desk,
}

fn stage(disk: &SimDisk) -> Stage {
    stage_of(Desk::kept(disk).unwrap())
}

fn stage_of(mut desk: Desk) -> Stage {
    let place = Place::with(std::mem::take(&mut desk.world));
    Stage { place, desk }
}

async fn say(pipe: &mut Pipe, line: &str) {
    pipe.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
}

/// Lets all tasks come to rest.
async fn rest() {
    for _ in 0..100 {
        smol::future::yield_now().await;
    }
}

/// Serves three clients, whose ends of their connections these are.
fn three_clients(place: &Place, executor: &LocalExecutor<'_>) -> [Pipe; 3] {
    [0; 3].map(|_| {
        let (session, _, other) = place.session(1 << 12);
        executor.spawn(session.run()).detach();
        other
    })
}

async fn hear(pipe: &mut Pipe, wanted: &str) {
    let mut heard = vec![0; wanted.len()];
    pipe.read_exact(&mut heard).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), wanted);
}

#[test]
fn no_reply_is_sent_before_all_that_it_may_tell_of_is_in_the_log() {
    let Stage { place, mut desk } = stage(&SimDisk::new(1));
    let executor = LocalExecutor::new();
    let mut pipes = three_clients(&place, &executor);
    smol::block_on(executor.run(async {
        let [writer, reader, waiter] = &mut pipes;
        say(waiter, "XREAD BLOCK 0 STREAMS s $").await;
        rest().await;
        say(writer, "XADD s 1-1 f v").await;
        rest().await;
        // It sees what the other one did, and is told so no sooner.
        say(reader, "XLEN s").await;
        rest().await;
        for pipe in [&*writer, reader, waiter] {
            assert_eq!(pipe.waiting(), 0);
        }
        desk.work();
        hear(writer, "$3\r\n1-1\r\n").await;
        hear(reader, ":1\r\n").await;
        hear(waiter, "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n").await;
        // Nothing was written since, so that nobody waits.
        say(reader, "PING").await;
        hear(reader, "+PONG\r\n").await;
    }));
}

#[test]
fn whoever_waits_for_what_is_refused_hears_so_and_is_cut_off() {
    let disk = SimDisk::new(1);
    let Stage { place, desk: _desk } = stage_of(Desk::kept_by_thread(&disk).unwrap());
    let executor = LocalExecutor::new();
    let (session, _, mut other) = place.session(1 << 12);
    let (reads, _, mut reader) = place.session(1 << 12);
    let ends = executor.spawn(session.run());
    executor.spawn(reads.run()).detach();
    smol::block_on(executor.run(async {
        disk.set_free(0);
        let value = "x".repeat(3_000);
        let (mut at, mut heard) = (0, [0; 1]);
        while heard != *b"-" {
            at += 1;
            say(&mut other, &format!("XADD s {at} f {value}")).await;
            other.read_exact(&mut heard).await.unwrap();
            if heard == *b"$" {
                hear(&mut other, &format!("{}\r\n{at}-0\r\n", format!("{at}-0").len())).await;
            }
        }
        // Whoever reads from then on sees what was confirmed, and hears it.
        say(&mut reader, "XLEN s").await;
        hear(&mut reader, &format!(":{}\r\n", at - 1)).await;
        let mut heard = String::new();
        other.read_to_string(&mut heard).await.unwrap();
        assert!(
            heard.starts_with("MISCONF Errors writing to the disk") && heard.matches("\r\n").count() == 1,
            "{heard}"
        );
        assert!(matches!(ends.await, End::Unwritten(_)));
    }));
}

/// Others may act on what is published, so that it waits as replies do.
#[test]
fn no_message_is_sent_before_all_that_it_may_tell_of_is_in_the_log() {
    let Stage { place, mut desk } = stage(&SimDisk::new(1));
    let executor = LocalExecutor::new();
    let mut pipes = [0; 2].map(|_| {
        let (session, _, other) = place.session(1 << 12);
        executor.spawn(session.run()).detach();
        other
    });
    smol::block_on(executor.run(async {
        let [writer, listener] = &mut pipes;
        say(listener, "SUBSCRIBE news").await;
        hear(listener, "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n").await;
        say(writer, "MULTI\r\nXADD s 1-1 f v\r\nPUBLISH news 1-1\r\nEXEC").await;
        rest().await;
        assert_eq!((writer.waiting(), listener.waiting()), (0, 0));
        desk.work();
        hear(listener, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\n1-1\r\n").await;
    }));
}

#[test]
fn one_that_ends_itself_hears_so_once_what_it_did_is_in_the_log() {
    for kill in ["CLIENT KILL ID 1 SKIPME no", "MULTI\r\nCLIENT KILL ID 1 SKIPME no\r\nEXEC"] {
        let Stage { place, mut desk } = stage(&SimDisk::new(1));
        let executor = LocalExecutor::new();
        let (session, _, mut other) = place.session(1 << 12);
        let ends = executor.spawn(session.run());
        smol::block_on(executor.run(async {
            say(&mut other, &format!("XADD s 1-1 f v\r\n{kill}\r\nPING")).await;
            rest().await;
            assert_eq!(other.waiting(), 0);
            desk.work();
            let mut heard = String::new();
            other.read_to_string(&mut heard).await.unwrap();
            let wanted = ["$3\r\n1-1\r\n:1\r\n", "$3\r\n1-1\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"];
            assert!(wanted.contains(&heard.as_str()), "{heard}");
            assert!(matches!(ends.await, End::Gone));
        }));
    }
}

/// Where nobody waits for the disk, no other thread is woken for what is little; and what the sessions write is synced in time.
#[test]
fn one_session_writes_what_all_have_left() {
    let disk = SimDisk::new(1);
    let Stage { place, mut desk } = stage(&disk);
    place.shared.world().keeper.as_mut().unwrap().set_fsync(Fsync::EverySecond);
    let executor = LocalExecutor::new();
    let mut pipes = three_clients(&place, &executor);
    smol::block_on(executor.run(async {
        let [one, two, three] = &mut pipes;
        // A stream begins: that is the log's to do.
        say(one, "XADD s 1-1 f v").await;
        rest().await;
        assert_eq!(one.waiting(), 0);
        desk.work();
        hear(one, "$3\r\n1-1\r\n").await;
        let calls = disk.calls();
        say(one, "XADD s 2-1 f v\r\nXADD s 2-2 f v").await;
        say(two, "MULTI\r\nXADD s 3-1 f v\r\nXADD s 3-2 f v\r\nEXEC").await;
        say(three, "XLEN s").await;
        hear(one, "$3\r\n2-1\r\n$3\r\n2-2\r\n").await;
        hear(two, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$3\r\n3-1\r\n$3\r\n3-2\r\n").await;
        hear(three, ":5\r\n").await;
        assert_eq!(disk.calls(), calls + 1, "all of it in one write");
    }));
    let there = |disk: &SimDisk| {
        let mut desk = Desk::kept(disk).unwrap();
        let mut guest = desk.guest();
        desk.say(&mut guest, "XLEN s")
    };
    assert_eq!(there(&disk.durable_copy()), ":0");
    let now = Now::of(place.shared.rt());
    let later = Now { moment: now.moment + Duration::from_secs(1), ..now };
    place.shared.world().keep_up(later).unwrap();
    desk.work();
    assert_eq!(there(&disk.crash(CrashKind::LoseAll)), ":5");
}
