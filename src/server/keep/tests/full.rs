//! A disk without room.

use super::view::view;
use crate::server::tests::desk::Desk;
use crate::sim::{CrashKind, DiskCall, DiskFault, SimDisk};

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
