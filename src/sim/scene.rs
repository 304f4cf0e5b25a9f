//! What a thread knows while it runs a simulation: which one, and whether a panic is worth printing.

use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::Once;

use super::Sim;
use crate::base::{PanicText, catch};
use crate::runtime::{Entered, Rt, enter};

thread_local! {
    /// The innermost simulation that runs on this thread.
    static CURRENT: RefCell<Option<Sim>> = const { RefCell::new(None) };
    /// Whether a spawned task is being polled or dropped, so that a panic is recorded instead of printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// Where the last quiet panic came from.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Makes a simulator the current runtime of this thread, until dropped.
pub(super) struct Scene {
    before: Option<Sim>,
    was_quiet: bool,
    _runtime: Entered,
}

impl Scene {
    pub(super) fn enter(sim: &Sim) -> Scene {
        install_hook();
        Scene {
            before: CURRENT.replace(Some(sim.clone())),
            was_quiet: QUIET.replace(false),
            _runtime: enter(Rt::new(sim.clone())),
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
        QUIET.set(self.was_quiet);
    }
}

pub(super) fn current() -> Option<Sim> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// What a panic said, and where it came from.
pub(super) struct Caught {
    pub(super) text: PanicText,
    pub(super) place: Option<String>,
}

/// Runs `f` and turns a panic into a value, without printing it.
///
/// Why not print: with a backtrace, that costs 300 times as much as the panic itself, and a test with faults
/// makes thousands.
pub(super) fn catch_quietly<R>(f: impl FnOnce() -> R) -> Result<R, Caught> {
    let was_quiet = QUIET.replace(true);
    PLACE.take();
    let result = catch(f);
    QUIET.set(was_quiet);
    result.map_err(|text| Caught { text, place: PLACE.take() })
}

/// Puts a hook before the one in place; on a thread without a simulation it changes nothing.
fn install_hook() {
    static ONCE: Once = Once::new();
    // Why the question: a thread that unwinds may not touch the hook, and a `Drop` may well run a simulation.
    if !std::thread::panicking() {
        ONCE.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| hook(info, &previous)));
        });
    }
}

fn hook(info: &PanicHookInfo<'_>, previous: &dyn Fn(&PanicHookInfo<'_>)) {
    if QUIET.try_with(Cell::get) == Ok(true) {
        let _ = PLACE.try_with(|place| place.set(info.location().map(ToString::to_string)));
        return;
    }
    previous(info);
    if let Some(sim) = current() {
        tell(&sim);
    }
}

#[expect(clippy::print_stderr, reason = "a panic hook speaks where panics are printed")]
fn tell(sim: &Sim) {
    let Some(world) = sim.shared.try_world() else { return };
    let schedule = &world.schedule;
    eprintln!(
        "in the simulation with seed {}, at {:?}, after {} steps",
        world.seed,
        schedule.now(),
        schedule.steps()
    );
    world.panics.iter().for_each(|earlier| eprintln!("  earlier: {earlier}"));
    world.last_events().iter().for_each(|line| eprintln!("    {line}"));
}
