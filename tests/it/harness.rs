//! Does the harness run a test everywhere, notice every way to fail, and say how to see it again?

use std::process::Command;
use std::time::Duration;

use callboard::sim::Sim;

use crate::every;

/// Set in the processes that the tests below start, where a test fails on purpose.
const CHILD: &str = "CB_TEST_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs one test of this file in a process of its own; answers whether it passed, and what it printed.
fn run_alone(test: &str, settings: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("harness::{test}"), "--exact", "--nocapture"])
        .env_remove("CB_SEED")
        .env_remove("CB_SEEDS")
        .env_remove("CB_RUNTIME")
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "0")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), text)
}

fn runtime_and_seed() -> String {
    let seed = Sim::current().map(|sim| sim.seed().to_string()).unwrap_or_default();
    format!("<{}{seed}>", every::current().name())
}

#[test]
fn a_test_runs_once_on_each_real_runtime_and_under_many_seeds() {
    if is_child() {
        return every::runtime(|| async {
            let here = runtime_and_seed();
            let there = every::spawn("there", async { runtime_and_seed() }).await;
            assert_eq!(here, there);
            println!("{here}");
        });
    }
    let test = "a_test_runs_once_on_each_real_runtime_and_under_many_seeds";
    let ran = |settings: &[(&str, &str)]| {
        let (passed, text) =
            run_alone("a_test_runs_once_on_each_real_runtime_and_under_many_seeds", settings);
        assert!(passed, "{text}");
        ["<tokio>", "<smol>", "<sim0>", "<sim1>", "<sim7>", "<sim19>", "<sim20>"]
            .map(|run| text.matches(run).count())
    };
    assert_eq!(ran(&[]), [2, 1, 1, 1, 1, 1, 0]);
    assert_eq!(ran(&[("CB_SEEDS", "2")]), [2, 1, 1, 1, 0, 0, 0]);
    assert_eq!(ran(&[("CB_SEED", "7")]), [0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(ran(&[("CB_RUNTIME", "smol")]), [0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(ran(&[("CB_RUNTIME", "tokio-1")]), [1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(ran(&[("CB_RUNTIME", "sim")]), [0, 0, 1, 1, 1, 1, 0]);
    assert!(!run_alone(test, &[("CB_RUNTIME", "smoll")]).0, "a name that no runtime has runs nothing");
}

#[test]
fn a_failure_names_the_seed_and_the_line_that_runs_it_again() {
    if is_child() {
        return every::seed(10, |sim| async move { assert!(sim.seed() != 7, "seven fails") });
    }
    let test = "a_failure_names_the_seed_and_the_line_that_runs_it_again";
    let (passed, text) = run_alone(test, &[]);
    assert!(!passed);
    assert!(text.contains("on sim, seed 7: seven fails"), "{text}");
    assert!(
        text.contains(&format!("again: CB_SEED=7 cargo test --test it -- --exact harness::{test}")),
        "{text}"
    );
    // Once where the body failed, once where the test called the harness, and never in the harness.
    assert_eq!(text.matches("panicked at tests/it/harness.rs").count(), 2, "{text}");
    assert!(run_alone(test, &[("CB_SEED", "6")]).0);
    assert!(!run_alone(test, &[("CB_SEED", "7")]).0);
}

#[test]
fn a_failure_names_the_runtime() {
    if is_child() {
        return every::runtime(|| async { assert!(every::current().name() != "smol", "smol fails") });
    }
    let (passed, text) = run_alone("a_failure_names_the_runtime", &[]);
    assert!(!passed);
    assert!(
        text.contains("on smol: smol fails\n  again: CB_RUNTIME=smol cargo test --test it -- "),
        "{text}"
    );
}

#[test]
fn a_deadlock_under_a_seed_fails_at_once() {
    if is_child() {
        return every::seed(1, |_| std::future::pending());
    }
    let (passed, text) = run_alone("a_deadlock_under_a_seed_fails_at_once", &[]);
    assert!(!passed);
    assert!(text.contains("on sim, seed 0: the simulation is in a deadlock"), "{text}");
}

#[test]
fn a_task_that_panics_alone_fails_the_test_under_a_seed() {
    if is_child() {
        return every::seed(1, |sim| async move {
            sim.spawn("loner", async { panic!("alone") });
            sim.settle().await;
        });
    }
    let (passed, text) = run_alone("a_task_that_panics_alone_fails_the_test_under_a_seed", &[]);
    assert!(!passed);
    assert!(
        text.contains("on sim, seed 0: nobody caught this: task `loner` panicked at tests/it/"),
        "{text}"
    );
}

#[test]
fn a_run_that_hangs_is_given_up() {
    let limit = Duration::from_millis(20);
    let end = every::watched(limit, || smol::block_on(std::future::pending()));
    assert_eq!(end, Err("still not done after 20ms".to_owned()));
    assert_eq!(every::watched(Duration::from_secs(60), || ()), Ok(()));
}

#[test]
fn a_spawned_task_runs_though_its_end_is_not_awaited() {
    every::runtime(|| async {
        let (sender, receiver) = async_channel::bounded(1);
        drop(every::spawn("writer", async move { sender.send(()).await.unwrap() }));
        receiver.recv().await.unwrap();
    });
}
