//! Does anybody hear of what the log refused, once memory has gone back; or hear that it was not done, where it was?

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt as _;
use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::desk::Desk;
use super::sessions::{Pipe, Place};
use crate::server::session::End;
use crate::sim::{DiskCall, DiskFault, SimDisk};

/// A desk, and sessions over its world, on a disk whose log has a thread.
pub(super) struct Stage {
    pub(super) disk: SimDisk,
    desk: Desk,
    pub(super) place: Place,
}

impl Stage {
    pub(super) fn new() -> Stage {
        let disk = SimDisk::new(1);
        let mut desk = Desk::kept_by_thread(&disk).unwrap();
        let place = Place::with(std::mem::take(&mut desk.world));
        Stage { disk, desk, place }
    }

    /// Does something at the desk, which has the world meanwhile.
    pub(super) fn at_desk<R>(&mut self, work: impl FnOnce(&mut Desk) -> R) -> R {
        let mut world = self.place.shared.world();
        std::mem::swap(&mut *world, &mut self.desk.world);
        let done = work(&mut self.desk);
        std::mem::swap(&mut *world, &mut self.desk.world);
        done
    }

    /// What is written next has no room.
    pub(super) fn refuse_next(&self) {
        let full = std::io::ErrorKind::StorageFull;
        self.disk.fail(DiskFault::nth(1).of(DiskCall::Write).with(full));
    }

    /// Waits until something that was written is refused, and lets memory go back.
    fn go_back(&mut self) {
        self.at_desk(|desk| {
            let written = desk.world.keeper.as_ref().unwrap().written();
            desk.wait(written).unwrap_err();
            desk.tick().unwrap();
            assert!(desk.world.refuses().is_some());
        });
    }

    /// Somebody says something, which is written, and refused.
    fn say_in_vain(&mut self, line: &str) {
        self.refuse_next();
        self.at_desk(|desk| {
            let mut guest = desk.guest();
            desk.say(&mut guest, line);
            desk.write();
        });
        self.go_back();
    }

    pub(super) fn end(self) {
        let Stage { mut desk, place, .. } = self;
        desk.world = std::mem::take(&mut *place.shared.world());
        desk.close();
    }
}

/// Lets a session go on as far as it can at once.
fn turn(session: &mut Pin<&mut impl Future<Output = End>>) -> Poll<End> {
    session.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Lets it go on behind where it gives way, so that others may write with it.
fn two_turns(session: &mut Pin<&mut impl Future<Output = End>>) -> Poll<End> {
    assert!(turn(session).is_pending());
    turn(session)
}

/// Lets it go on until it ends.
fn ended(session: &mut Pin<&mut impl Future<Output = End>>) -> End {
    let late = async { panic!("it goes on") };
    smol::block_on(smol::future::or(
        session.as_mut(),
        smol::Timer::after(Duration::from_secs(5)).then(|_| late),
    ))
}

fn say(pipe: &mut Pipe, text: &str) {
    pipe.write_all(text.as_bytes()).now_or_never().unwrap().unwrap();
}

fn heard(pipe: &mut Pipe) -> String {
    let mut heard = vec![0; pipe.waiting()];
    pipe.read_exact(&mut heard).now_or_never().unwrap().unwrap();
    String::from_utf8(heard).unwrap()
}

const SORRY: &str = "-MISCONF Errors writing to the disk";

/// It is in the middle of what came together when that is refused, and goes on when memory has gone back already.
#[test]
fn a_pipeline_that_was_refused_in_part_is_not_answered_as_if_it_was_done() {
    let mut stage = Stage::new();
    let (session, _, mut pipe) = stage.place.session(1 << 14);
    let mut session = pin!(session.run());
    say(&mut pipe, &format!("XADD s 1 f v\r\n{}", "PING\r\n".repeat(300)));
    stage.refuse_next();
    assert!(turn(&mut session).is_pending());
    stage.go_back();
    assert!(matches!(ended(&mut session), End::Unwritten(_)));
    let heard = heard(&mut pipe);
    assert!(heard.starts_with(SORRY) && heard.lines().count() == 1, "{heard}");
    stage.end();
}

#[test]
fn whoever_waited_for_what_was_refused_is_not_given_it() {
    let mut stage = Stage::new();
    let (session, _, mut pipe) = stage.place.session(1 << 14);
    let mut session = pin!(session.run());
    say(&mut pipe, "XREAD BLOCK 0 STREAMS s $\r\n");
    assert!(turn(&mut session).is_pending());
    stage.say_in_vain("XADD s 1 f v");
    assert!(matches!(ended(&mut session), End::Unwritten(_)));
    let heard = heard(&mut pipe);
    assert!(heard.starts_with(SORRY), "{heard}");
    stage.end();
}

/// A message tells of what was done before it was sent, and a notification of nothing else.
#[test]
fn whoever_listens_is_not_told_of_what_was_refused() {
    let mut stage = Stage::new();
    let (session, _, mut pipe) = stage.place.session(1 << 14);
    let mut session = pin!(session.run());
    say(&mut pipe, "CONFIG SET notify-keyspace-events KEA\r\nPSUBSCRIBE *\r\n");
    assert!(two_turns(&mut session).is_pending());
    assert!(heard(&mut pipe).contains("psubscribe"));
    stage.say_in_vain("XADD s 1 f v\r\nPUBLISH news added");
    drop(ended(&mut session));
    let heard = heard(&mut pipe);
    assert!(!heard.contains("message"), "{heard}");
    stage.end();
}

/// It was confirmed before; that something else was refused since is no reason to say that it was not done.
#[test]
fn what_was_done_before_memory_went_back_is_answered() {
    let mut stage = Stage::new();
    let (session, _, mut pipe) = stage.place.session(1 << 14);
    let mut session = pin!(session.run());
    say(&mut pipe, "XADD s 1 f v\r\n");
    assert!(two_turns(&mut session).is_pending());
    stage.at_desk(|desk| desk.wait(desk.world.keeper.as_ref().unwrap().written()).unwrap());
    stage.say_in_vain("XADD s 2 f v");
    say(&mut pipe, "XLEN s\r\n");
    assert!(two_turns(&mut session).is_pending());
    assert_eq!(heard(&mut pipe), "$3\r\n1-0\r\n:1\r\n");
    stage.end();
}

/// Neither the stream nor the value is lost by what has not happened.
#[test]
fn a_value_that_was_to_take_a_streams_name_has_its_own_again() {
    let mut stage = Stage::new();
    let ask = |stage: &mut Stage, lines: &str| {
        stage.at_desk(|desk| {
            let mut guest = desk.guest();
            let heard = desk.say(&mut guest, lines);
            let written = desk.write();
            desk.wait(written).unwrap();
            heard
        })
    };
    ask(&mut stage, "SET a v\r\nEXPIRE a 1000\r\nXADD s 1 f v\r\nSET b w\r\nXADD t 1 f v");
    stage.say_in_vain("RENAME a s\r\nRENAME b t\r\nSET b new");
    let heard = ask(&mut stage, "GET a\r\nTTL a\r\nXLEN s\r\nGET b\r\nXLEN t");
    assert_eq!(heard, "$1 v :1000 :1 $3 new :1");
    stage.end();
}

/// A disk that failed to sync may have what it failed with.
#[test]
fn what_may_be_on_the_disk_is_not_said_to_be_undone() {
    let stage = Stage::new();
    let (session, _, mut pipe) = stage.place.session(1 << 14);
    let mut session = pin!(session.run());
    stage.disk.fail(DiskFault::nth(1).of(DiskCall::Sync));
    say(&mut pipe, "XADD s 1 f v\r\n");
    assert!(matches!(ended(&mut session), End::Unwritten(_)));
    let heard = heard(&mut pipe);
    assert!(heard.starts_with(SORRY) && !heard.contains("not done"), "{heard}");
}
