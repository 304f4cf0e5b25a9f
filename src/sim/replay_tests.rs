//! Does a seed always give the same run, here and in another process, and each seed its own? (G24)

use std::process::Command;
use std::time::Duration;

use super::*;
use crate::runtime::Runtime as _;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A small pipeline: producers, a bounded channel, workers that take a while or panic, and a clerk.
fn toy(seed: u64) -> (u64, u64, Vec<String>) {
    let sim = Sim::new(seed);
    let (jobs, todo) = async_channel::bounded::<u64>(2);
    let (done, results) = async_channel::bounded::<String>(1);
    for producer in 0..3 {
        let (sim, jobs) = (sim.clone(), jobs.clone());
        sim.clone().spawn("producer", async move {
            for job in 0..4 {
                sim.sleep(ms(sim.random() % 3)).await;
                jobs.send(producer * 10 + job).await.unwrap();
            }
        });
    }
    for worker in 0..2 {
        let (sim, todo, done) = (sim.clone(), todo.clone(), done.clone());
        sim.clone().spawn("worker", async move {
            while let Ok(job) = todo.recv().await {
                sim.sleep(ms(sim.random() % 5)).await;
                done.send(format!("{worker}:{job}")).await.unwrap();
                assert!(job != 21, "job 21 is poison");
            }
        });
    }
    drop((jobs, todo, done));
    let log = sim.block_on(async move {
        let mut log = Vec::new();
        while let Ok(result) = results.recv().await {
            log.push(result);
        }
        log
    });
    (sim.trace_hash(), sim.steps(), log)
}

/// All traces of the toy in one number.
fn toy_traces() -> u64 {
    (0..200).fold(0, |all, seed| rng::mix(all ^ toy(seed).0))
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another_one() {
    let runs: Vec<_> = (0..200).map(toy).collect();
    for (seed, first) in runs.iter().enumerate() {
        assert_eq!(toy(seed as u64), *first, "seed {seed}");
    }
    let mut hashes: Vec<u64> = runs.iter().map(|run| run.0).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 200);
    assert!(runs.iter().all(|run| run.2.len() == 12), "no job is lost, the poisoned one neither");
}

/// Runs one test of this file in a process of its own, and returns what it wrote.
fn in_a_child(test: &str) -> (String, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("sim::replay_tests::{test}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

const CHILD: &str = "CB_TEST_CHILD";

#[test]
fn the_same_seed_gives_the_same_run_in_another_process() {
    let line = format!("all traces: {}", toy_traces());
    if std::env::var_os(CHILD).is_some() {
        println!("{line}");
        return;
    }
    let (stdout, _) = in_a_child("the_same_seed_gives_the_same_run_in_another_process");
    assert!(stdout.contains(&line), "{line} is not in {stdout}");
}

#[test]
fn the_main_panic_is_printed_with_its_seed_and_those_of_tasks_are_not() {
    if std::env::var_os(CHILD).is_some() {
        let sim = Sim::new(4711);
        let inside = sim.clone();
        sim.spawn("noisy", async { panic!("a task's") });
        sim.block_on(async move {
            inside.settle().await;
            panic!("the main one's");
        });
    }
    let (_, stderr) = in_a_child("the_main_panic_is_printed_with_its_seed_and_those_of_tasks_are_not");
    assert!(stderr.contains("the main one's\n"), "{stderr}");
    assert!(stderr.contains("in the simulation with seed 4711, at +0ns, after 3 steps\n"), "{stderr}");
    assert_eq!(stderr.matches("a task's").count(), 1, "told once, as an earlier one: {stderr}");
    assert!(stderr.contains("earlier: task `noisy` panicked at src"), "{stderr}");
}

#[test]
fn random_numbers_come_from_the_seed_and_leave_the_order_alone() {
    let draw = |seed| [(); 4].map(|()| Sim::new(seed).random());
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let run = |draws| {
        let sim = Sim::new(1);
        (0..draws).for_each(|_| _ = sim.random());
        let inside = sim.clone();
        sim.spawn("other", async {});
        sim.block_on(async move { inside.sleep(ms(1)).await });
        sim.trace_hash()
    };
    assert_eq!(run(0), run(3));
}

#[test]
fn tasks_whose_timers_are_due_together_run_in_every_order() {
    let first = |seed| {
        let sim = Sim::new(seed);
        let (sender, order) = async_channel::bounded(2);
        for name in ["a", "b"] {
            let (inside, sender) = (sim.clone(), sender.clone());
            sim.spawn(name, async move {
                inside.sleep(ms(10)).await;
                sender.send(name).await.unwrap();
            });
        }
        sim.block_on(async move { order.recv().await.unwrap() })
    };
    let firsts: Vec<_> = (0..50).map(first).collect();
    assert!(firsts.contains(&"a") && firsts.contains(&"b"));
}
