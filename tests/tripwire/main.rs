//! Does anything in the crate read the machine's clock, or ask it for chance, past the simulator? (G24)
//!
//! This program defines the C library's own functions for both, so that whoever calls them, the standard library
//! included, is counted while the wire is armed on his thread; then the kernel answers as ever. It is the one place of
//! the project with `unsafe` code.
#![cfg(all(test, target_os = "linux"))]
#![expect(unsafe_code, reason = "it stands in for functions of the C library")]
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected should end there")]

use std::cell::Cell;
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::time::Duration;

use callboard::prelude::*;
use callboard::sim::{Faults, Scheduler, Sim};
use callboard::supervise::ChildSpec;

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static CLOCKS: Cell<u32> = const { Cell::new(0) };
    static CHANCES: Cell<u32> = const { Cell::new(0) };
}

fn count(calls: &'static std::thread::LocalKey<Cell<u32>>) {
    // Why try: the C library also asks in a thread's last breath.
    if ARMED.try_with(Cell::get) == Ok(true) {
        let _ = calls.try_with(|calls| calls.set(calls.get() + 1));
    }
}

/// Answers how often the clock was read and chance was asked for, on this thread, while `run` ran.
fn calls(run: impl FnOnce()) -> (u32, u32) {
    CLOCKS.set(0);
    CHANCES.set(0);
    ARMED.set(true);
    run();
    ARMED.set(false);
    (CLOCKS.get(), CHANCES.get())
}

// SAFETY: the signature is that of the C library, in whose place it stands; the pointer is the caller's, who owes the
// C library a valid one, and is only passed on.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: c_int, into: *mut c_void) -> c_int {
    count(&CLOCKS);
    // SAFETY: the kernel's call of that name takes these arguments, and checks the pointer.
    let answer: c_long = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, into) };
    answer as c_int
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(into: *mut c_void, zone: *mut c_void) -> c_int {
    count(&CLOCKS);
    // SAFETY: as above.
    let answer: c_long = unsafe { libc::syscall(libc::SYS_gettimeofday, into, zone) };
    answer as c_int
}

// SAFETY: as above; the length is that of the caller's buffer.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(into: *mut c_void, len: usize, flags: c_uint) -> isize {
    count(&CHANCES);
    // SAFETY: as above.
    let answer: c_long = unsafe { libc::syscall(libc::SYS_getrandom, into, len, flags) };
    answer as isize
}

/// A broker with groups that fail in every way, an actor tree that restarts, deadlines, retries, streams.
fn everything(seed: u64) {
    let scheduler = Scheduler::drawn(seed);
    let sim = Sim::new(seed).scheduler(scheduler).with_wall_jumps();
    let inside = sim.clone();
    sim.block_on(async move {
        let broker = Broker::start().unwrap();
        let topic = broker.topic::<u64>("t").capacity(8).open().await.unwrap();
        let group = topic.group("g").consumers(3).ack_timeout(Duration::from_millis(40));
        let group = group.retry(Retry::exponential(Duration::from_millis(3), Duration::from_secs(1)));
        let group = group.with(inside.clone());
        let group = group.run(async |n: Message<u64>, sim: Sim| {
            match *n % 7 {
                0 if n.attempt() == 1 => panic!("at once"),
                1 if n.attempt() == 1 => std::future::pending().await,
                2 => return Err(Fault::new("no")),
                _ => sim.sleep(Duration::from_millis(*n % 3)).await,
            }
            Ok(())
        });
        let group = group.await.unwrap();
        let mut tree = Supervisor::one_for_all(&System::start().unwrap());
        let child = tree.child(ChildSpec::new("shaky", || Shaky)).unwrap();
        let tree = tree.start().await.unwrap();
        for n in 0..60 {
            topic.publish(n).await.unwrap();
            if n % 20 == 0 {
                child.send(n).await.unwrap();
            }
        }
        topic.settled().await.unwrap();
        assert!(group.stats().await.unwrap().dead_lettered > 0);
        drop(tree.stop().await);
        broker.shutdown().await;
    });
}

struct Shaky;

impl Actor for Shaky {
    type Message = u64;
    async fn handle(&mut self, _: u64, _: &mut Context<u64>) -> Result<(), Fault> {
        Err(Fault::new("shaky"))
    }
}

#[test]
fn a_simulated_run_reads_no_clock_of_the_machine_and_draws_no_chance_from_it() {
    // What is made once in a process may ask for what it likes.
    everything(0);
    for seed in 1..40 {
        assert_eq!(calls(|| everything(seed)), (0, 0), "seed {seed}");
    }
    let kit = || {
        callboard::sim::run(7, |broker| async move {
            broker.set_faults(Faults::some());
            let topic = broker.topic::<u64>("t").open().await.unwrap();
            topic.group("g").run(async |_| Ok(())).await.unwrap();
            topic.publish_all(0..50).await.unwrap();
        });
    };
    kit();
    assert_eq!(calls(kit), (0, 0));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "they are what the wire is there for"
)]
fn a_clock_that_is_read_and_a_hash_that_is_seeded_are_seen() {
    assert!(calls(|| _ = std::time::Instant::now()).0 > 0);
    assert!(calls(|| _ = std::time::SystemTime::now()).0 > 0);
    // On a thread of its own, whose first hasher asks for a seed.
    let seeded = std::thread::scope(|scope| {
        let map = || calls(|| drop(std::hash::RandomState::new()));
        scope.spawn(map).join().unwrap()
    });
    assert!(seeded.1 > 0, "{seeded:?}");
}
