//! Does a broker find what it confirmed when the power of a real file system goes out? (G1, G20)
//!
//! A file system in a file, and the call that shuts it down at once, without its journal: what was not synced is gone, as when the
//! power goes. That takes root, a loop device, and somebody who makes the call; where one is missing the tests say which, and are
//! skipped. The disk is mounted in a namespace of its own, that ends with the processes in it: nothing stays mounted.
//!
//! `CB_CUTS=100 cargo test --test kill power` cuts so many times on each file system, and not 3.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::oracle::Oracle;
use crate::process::{Process, TempDir, run, say, shell};
use crate::rounds::{finish, started};

/// What makes a file system in a file, and the fewest MiB that it takes.
const SYSTEMS: [(&str, u64, [&str; 3]); 2] =
    [("ext4", 64, ["mkfs.ext4", "-q", "-F"]), ("xfs", 320, ["mkfs.xfs", "-q", "-f"])];

/// Who can make the call that shuts down: `FS_IOC_SHUTDOWN`, not even with what is in its journal's memory.
const CALLERS: [[&str; 3]; 3] = [
    ["perl", "-e", "open(my $d, '<', $ARGV[0]) && ioctl($d, 0x8004587d, pack('I', 2)) || die $!"],
    [
        "python3",
        "-c",
        "import fcntl,os,sys; fcntl.ioctl(os.open(sys.argv[1], 0), 0x8004587d, b'\\2\\0\\0\\0')",
    ],
    ["xfs_io", "-xc", "shutdown"],
];

#[test]
fn what_was_confirmed_survives_power_cuts_at_any_moment() {
    SYSTEMS.iter().for_each(|(system, ..)| in_own_namespace("every", system));
}

/// The same, with topics that do not wait for the disk: what is lost is seen, or the test above shows nothing.
#[test]
fn what_nobody_waited_for_is_seen_to_be_lost() {
    SYSTEMS.iter().for_each(|(system, ..)| in_own_namespace("never", system));
}

fn in_own_namespace(sync: &str, system: &str) {
    let dir = TempDir::new(format!("power-{sync}-{system}"));
    let script = shell("power", &dir.0, "");
    let mut unshared = Command::new("unshare");
    unshared.args(["-m", "--propagation", "private"]);
    let probe = Command::new("unshare").args(["-m", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return println!("skipped: `unshare -m` does not work for this user");
    }
    unshared.arg(script.get_program()).args(script.get_args());
    for (name, value) in script.get_envs() {
        unshared.env(name, value.unwrap_or_default());
    }
    unshared.env("CB_SYNC", sync).env("CB_SYSTEM", system);
    println!("{system}: {}", run(&mut unshared).join("\n"));
}

/// The role: cuts the power of others.
pub(crate) fn cut(dir: &Path) {
    let (sync, system) = (std::env::var("CB_SYNC").unwrap(), std::env::var("CB_SYSTEM").unwrap());
    let cuts: u32 = std::env::var("CB_CUTS").map_or(3, |cuts| cuts.parse().unwrap());
    let disk = match Disk::make(dir, &system) {
        Ok(disk) => disk,
        Err(why) => return say(format!("skipped: {why}")),
    };
    if sync == "every" {
        return say(rounds(&disk, cuts).unwrap());
    }
    // What does not work is an error, and only what is lost a panic.
    let once = |_| catch_unwind(AssertUnwindSafe(|| rounds(&disk, 1).map(drop))).map(Result::unwrap).err();
    let lost = (0..20).find_map(once);
    let Some(lost) = lost else { panic!("twenty cuts, and nothing was lost that nobody waited for") };
    say(format!("seen: {}", lost.downcast_ref::<String>().map_or("", |what| what)));
}

/// Lives that end by cuts, on a disk that is empty before.
fn rounds(disk: &Disk, cuts: u32) -> Result<String, String> {
    disk.unmount();
    disk.format()?;
    let (data, mut oracle) = (disk.mounted.join("data"), Oracle::default());
    for life in 0..cuts {
        disk.mount()?;
        oracle.begin(life);
        let most = if life % 5 == 4 { fastrand::u32(0..4) } else { fastrand::u32(20..2000) };
        // Why unheard: it says how its publishes failed.
        let mut process = Process::start(started(&data, life, "publish").stderr(Stdio::null()));
        for _ in 0..most {
            let line = process.line().unwrap_or_else(|| panic!("life {life} ended by itself"));
            oracle.hear(&line);
        }
        // In every other life it is killed in the same moment, else it ends by what it sees of that.
        let kills = if life % 2 == 0 { format!("\nkill -9 {}", process.id()) } else { String::new() };
        let mut cut = Command::new("sh");
        cut.args(["-c", &format!("\"$@\"{kills}"), "sh"]).args(disk.caller).arg(&disk.mounted);
        let cut = cut.spawn().unwrap();
        // What it says from now on counts too: nothing is confirmed that is not there.
        let (lines, status) = process.end();
        lines.iter().for_each(|line| oracle.hear(line));
        assert!(!status.success(), "life {life}: {status}");
        assert!(cut.wait_with_output().unwrap().status.success());
        disk.unmount();
        say(format!("life {life}: cut behind {} lines, {status}", most as usize + lines.len()));
    }
    disk.mount()?;
    let found = finish(&data, cuts, &mut oracle);
    disk.unmount();
    Ok(format!("{cuts} power cuts: {found}"))
}

struct Disk {
    system: String,
    image: PathBuf,
    mounted: PathBuf,
    caller: &'static [&'static str],
}

impl Disk {
    /// Tries all that it takes; or answers what does not work.
    fn make(dir: &Path, system: &str) -> Result<Disk, String> {
        let (image, mounted, system) = (dir.join("image"), dir.join("disk"), system.to_string());
        fs::create_dir(&mounted).unwrap();
        let mut disk = Disk { system, image, mounted, caller: &[] };
        disk.format()?;
        let mut why = String::new();
        for caller in &CALLERS {
            disk.mount()?;
            let called = command(caller).arg(&disk.mounted).output();
            disk.unmount();
            match told(caller[0], called) {
                Ok(()) => {
                    disk.caller = caller;
                    return Ok(disk);
                }
                Err(one) => why = format!("{why}{one}; "),
            }
        }
        Err(format!("nobody shuts a file system down: {why}"))
    }

    fn format(&self) -> Result<(), String> {
        let (_, size, make) = SYSTEMS.iter().find(|(system, ..)| *system == self.system).unwrap();
        let file = fs::File::create(&self.image).unwrap();
        file.set_len(size << 20).unwrap();
        told(make[0], command(make).arg(&self.image).output())
    }

    /// That reads its journal, and writes what was torn.
    fn mount(&self) -> Result<(), String> {
        let mount = || {
            let mut mount = command(&["mount", "-o", "loop", "-t", &self.system]);
            told("mount -o loop", mount.arg(&self.image).arg(&self.mounted).output())
        };
        mount().or_else(|_| {
            drop(command(&["fsck", "-y"]).arg(&self.image).output());
            mount()
        })
    }

    /// If it is mounted.
    fn unmount(&self) {
        drop(command(&["umount"]).arg(&self.mounted).output());
    }
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    // Where file systems are made is not in everyone's path.
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(&words[1..]).env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn told(name: &str, output: std::io::Result<std::process::Output>) -> Result<(), String> {
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
