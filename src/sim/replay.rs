//! A seed's run, twice: is it the same one?

use std::future::Future;

use super::Sim;

/// Runs `body` twice under `seed` and compares the runs step by step.
///
/// Where they part, `body` draws on something that the simulator does not control: the machine's clock, a hash map's
/// order, a real thread, an address. `body` is given the simulator, and must not keep anything from run to run.
///
/// # Panics
/// If the two runs part, with the step at which they do and who was polled there; and as [`Sim::block_on`].
///
/// # Examples
/// ```
/// use callboard::sim;
/// use std::time::Duration;
///
/// sim::assert_deterministic(7, |sim| async move {
///     sim.spawn("writer", async {});
///     sim.sleep(Duration::from_secs(1)).await;
/// });
/// ```
#[track_caller]
pub fn assert_deterministic<F, Fut>(seed: u64, body: F)
where
    F: Fn(Sim) -> Fut,
    Fut: Future<Output = ()>,
{
    let run = || {
        let sim = Sim::new(seed);
        sim.shared.world().keep_log();
        sim.block_on(body(sim.clone()));
        let log = sim.shared.world().take_log();
        (sim.trace_hash(), log)
    };
    let ((hash, log), (again, second)) = (run(), run());
    let step =
        log.iter().zip(&second).position(|(one, other)| one != other).unwrap_or(log.len().min(second.len()));
    let who = |log: &[(u64, std::sync::Arc<str>)]| {
        log.get(step).map_or("nobody".to_owned(), |(_, name)| format!("`{name}`"))
    };
    assert!(
        hash == again && log == second,
        "seed {seed} gave two runs: at step {step} the first polled {} and the second {}",
        who(&log),
        who(&second)
    );
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_body_that_differs_from_run_to_run_is_caught_at_its_step() {
        let runs = AtomicU32::new(0);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            assert_deterministic(7, |sim| {
                let first = runs.fetch_add(1, Ordering::Relaxed) == 0;
                async move {
                    sim.spawn("steady", async {});
                    sim.settle().await;
                    sim.spawn(if first { "ann" } else { "bob" }, async {});
                    sim.settle().await;
                }
            });
        }));
        let text = caught.unwrap_err().downcast_ref::<String>().cloned().unwrap();
        assert!(text.contains("the first polled `ann` and the second `bob`"), "{text}");
        assert_deterministic(7, |sim| async move { sim.note("the same") });
    }

    #[test]
    fn notes_are_part_of_the_trace() {
        let hash = |text: &'static str| {
            let sim = Sim::new(1);
            let inside = sim.clone();
            sim.block_on(async move { inside.note(text) });
            sim.trace_hash()
        };
        assert_eq!(hash("a"), hash("a"));
        assert_ne!(hash("a"), hash("b"));
    }
}
