//! A disk without room.

use super::view::view;
use crate::log::{Done, Terms};
use crate::server::tests::desk::{Desk, Guest};
use crate::sim::{CrashKind, DiskCall, DiskFault, SimDisk};

/// Leaves the disk no room, and adds entries until one is refused, and memory has gone back.
fn fill(disk: &SimDisk, desk: &mut Desk, guest: &mut Guest) {
    disk.set_free(0);
    let value = "x".repeat(900);
    for at in 1.. {
        desk.say(guest, &format!("XADD s {at} f {value}"));
        let barrier = desk.write();
        if desk.wait(barrier).is_err() {
            break;
        }
    }
    desk.tick().unwrap();
}

/// What finds no room has not happened: memory goes back to what is on the disk, and commands that write are refused until there is room.
#[test]
fn a_full_disk_refuses_and_goes_on_once_there_is_room() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept_by_thread(&disk).unwrap();
    let mut guest = desk.guest();
    let value = "x".repeat(900);
    let (mut confirmed, mut refused) = (view(&desk.world.keys), 0);
    for round in 0..3 {
        disk.set_free(40 << 10);
        for at in 1..200 {
            let heard = desk.say(&mut guest, &format!("XADD s {round}-{at} f {value}"));
            if heard.starts_with("-MISCONF") {
                refused += 1;
                break;
            }
            let barrier = desk.write();
            if desk.wait(barrier).is_ok() {
                confirmed = view(&desk.world.keys);
            } else {
                desk.tick().unwrap();
                assert_eq!(view(&desk.world.keys), confirmed, "round {round}, entry {at}");
            }
        }
        assert_eq!(refused, round + 1, "it is refused at the door");
        let heard = desk.say(&mut guest, "XLEN s\r\nMULTI\r\nXADD s 9-1 f v\r\nEXEC");
        assert!(heard.contains("+QUEUED -EXECABORT") || heard.contains("-MISCONF"), "{heard}");
        // Nothing is tried, and nothing is different, while there is no room.
        desk.try_again();
        assert!(desk.world.refuses().is_some());
        disk.set_free(1 << 20);
        desk.try_again();
        assert_eq!(desk.world.refuses(), None);
    }
    let barrier = desk.write();
    desk.wait(barrier).unwrap();
    desk.say(&mut guest, "XADD s 9-9 last 1");
    let barrier = desk.write();
    desk.wait(barrier).unwrap();
    let before = view(&desk.world.keys);
    desk.close();
    let desk = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
    assert_eq!(view(&desk.world.keys), before);
}

/// A disk that fails to sync may have lost anything: nothing goes on before it is begun anew.
#[test]
fn a_disk_that_fails_ends_the_server() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept_by_thread(&disk).unwrap();
    let mut guest = desk.guest();
    desk.say(&mut guest, "XADD s 1 f v");
    let barrier = desk.write();
    desk.wait(barrier).unwrap();
    disk.fail(DiskFault::nth(1).of(DiskCall::Sync));
    desk.say(&mut guest, "XADD s 2 f v");
    let barrier = desk.write();
    desk.wait(barrier).unwrap_err();
    let error = desk.tick().unwrap_err().to_string();
    assert!(error.contains("not known before the log is opened anew"), "{error}");
    desk.close();
    disk.heal();
    let desk = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
    assert_eq!(view(&desk.world.keys).len(), 1);
}

/// What is tried is nobody's: who reads meanwhile does not wait for it, and is not cut off since it fails.
#[test]
fn reads_go_on_while_it_is_tried_whether_there_is_room() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept_by_thread(&disk).unwrap();
    let mut guest = desk.guest();
    fill(&disk, &mut desk, &mut guest);
    for round in 0..6 {
        desk.begin_try();
        let heard = desk.say(&mut guest, "XLEN s");
        let told = desk.world.barrier();
        assert!(heard.starts_with(':') && desk.wait(told).is_ok(), "round {round}");
        let _ = desk.wait(desk.world.keeper.as_ref().unwrap().written());
        let told = desk.world.barrier();
        assert!(desk.wait(told).is_ok(), "round {round}, once it has failed");
    }
}

/// Hours without room change nothing, whatever is asked for meanwhile.
#[test]
fn a_disk_that_is_full_for_long_leaves_nothing_behind() {
    let disk = SimDisk::new(1);
    let mut desk = Desk::kept_by_thread(&disk).unwrap();
    let mut guest = desk.guest();
    desk.say(&mut guest, "XGROUP CREATE s g 0 MKSTREAM");
    let barrier = desk.write();
    desk.wait(barrier).unwrap();
    fill(&disk, &mut desk, &mut guest);
    let kept = |desk: &Desk| {
        let keeper = desk.world.keeper.as_ref().unwrap();
        let (_, next) = keeper.log().bounds(keeper.notes).unwrap();
        assert_eq!(keeper.next_note, next);
        keeper.upkeep.total()
    };
    let (before, total) = (view(&desk.world.keys), kept(&desk));
    for _ in 0..50 {
        desk.try_again();
        assert!(desk.say(&mut guest, "BGREWRITEAOF").starts_with("-MISCONF"));
        desk.tick().unwrap();
        assert_eq!(kept(&desk), total);
    }
    // Of a stream that is gone, where there was no room to say so.
    let keeper = desk.world.keeper.as_mut().unwrap();
    keeper.next_topic += 1;
    keeper.log().create_numbered(
        keeper.next_topic - 1,
        "stream.99".into(),
        Terms::default(),
        Done::unheard(),
    );
    disk.set_free(1 << 20);
    desk.try_again();
    assert_eq!((desk.world.refuses(), view(&desk.world.keys) == before), (None, true));
    desk.say(&mut guest, "BGREWRITEAOF");
    let barrier = desk.write();
    desk.wait(barrier).unwrap();
    kept(&desk);
    assert_eq!(desk.topics(), ["server", "stream.1"]);
    desk.close();
    let desk = Desk::kept(&disk.crash(CrashKind::LoseAll)).unwrap();
    assert_eq!(view(&desk.world.keys), before);
}
