//! Does a tree keep its promises when everything happens at once? Seeds draw what happens, and in which order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard::actor::{Address, System};
use callboard::runtime::Runtime;
use callboard::sim::Sim;
use callboard::supervise::{Backoff, Intensity, Restart, Strategy, Supervisor, SupervisorHandle};
use futures::channel::oneshot;

use crate::every;
use crate::supervise_probe::{Stage, Tell, Unit, forever};

const MS: Duration = Duration::from_millis(1);

fn draw(sim: &Sim, below: u64) -> u64 {
    Runtime::random(sim) % below
}

fn pick<T: Clone>(sim: &Sim, from: &[T]) -> T {
    from.get(draw(sim, from.len() as u64) as usize).unwrap().clone()
}

const STRATEGIES: [Strategy; 3] = [Strategy::OneForOne, Strategy::RestForOne, Strategy::OneForAll];

/// A child that starts and ends badly, now and then.
fn unsteady(stage: &Stage, name: &str, sim: &Sim) -> callboard::supervise::ChildSpec<Unit> {
    let own = sim.clone();
    let spec = stage.spec_with(name, move |mut unit| {
        let first = unit.incarnation == 1;
        unit.start_fails = !first && draw(&own, 8) == 0;
        unit.start_panics = !first && draw(&own, 20) == 0;
        unit.stopping_panics = draw(&own, 10) == 0;
        unit.drop_panics = draw(&own, 10) == 0;
        if draw(&own, 10) == 0 { unit.stopping(forever) } else { unit }
    });
    let restart = [Restart::Always, Restart::Always, Restart::OnFailure, Restart::Never];
    let backoff = [Backoff::none(), Backoff::fixed(3 * MS), Backoff::exponential(MS, 20 * MS).jitter(0.5)];
    spec.restart(pick(sim, &restart))
        .backoff(pick(sim, &backoff))
        .stop_timeout(Duration::from_millis(draw(sim, 20)))
        .capacity(1 + draw(sim, 8) as usize)
}

fn unsteady_tree(name: &str, stage: &Stage, sim: &Sim) -> (Supervisor, Vec<Address<Tell>>) {
    let mut tree = Supervisor::new(&System::start().unwrap(), pick(sim, &STRATEGIES))
        .name(name)
        .intensity(Intensity::new(draw(sim, 30) as u32, 50 * MS))
        .backoff(Backoff::fixed(2 * MS));
    let children =
        (0..draw(sim, 4)).map(|n| tree.child(unsteady(stage, &format!("{name}{n}"), sim)).unwrap()).collect();
    (tree, children)
}

/// Does one thing to one child. Nothing here may take for ever, whatever state the child is in.
async fn poke(child: &Address<Tell>, n: u32, sim: &Sim) {
    match draw(sim, 12) {
        0 => drop(child.try_send(Tell::Fail)),
        1 => drop(child.try_send(Tell::Panic)),
        2 => drop(child.try_send(Tell::Leave)),
        3 => {
            let (entered, _) = oneshot::channel();
            let (open, until) = oneshot::channel();
            drop(child.try_send(Tell::Hold(entered, until)));
            sim.sleep(Duration::from_millis(draw(sim, 5))).await;
            drop(open);
        }
        4 => drop(child.stop().await),
        5 => drop(child.kill().await),
        6 => drop(child.stop_now().await),
        7 => drop(child.ask_within(MS, Tell::Which).await),
        _ => drop(child.send(Tell::Note(n)).await),
    }
}

async fn change(handle: &SupervisorHandle, n: u32, stage: &Stage, sim: &Sim) {
    match draw(sim, 3) {
        0 => drop(handle.add(unsteady(stage, &format!("late{n}"), sim)).await),
        1 => {
            let children = handle.children().await;
            if !children.is_empty() {
                let name = pick(sim, &children).name;
                drop(handle.remove(name.as_str()).await);
            }
        }
        _ => {
            let (tree, _) = unsteady_tree(&format!("below{n}"), stage, sim);
            drop(handle.add_supervisor(tree).await);
        }
    }
}

/// G14, G15, G19
#[test]
fn whatever_happens_no_two_incarnations_overlap_and_the_end_is_the_end() {
    every::seed(400, |sim| async move {
        let stage = Stage::new();
        let (mut top, mut children) = unsteady_tree("top", &stage, &sim);
        let (below, more) = unsteady_tree("below", &stage, &sim);
        children.extend(more);
        let below = top.supervisor(below).unwrap();
        let Ok(handle) = top.start().await else {
            assert!(stage.alive().is_empty());
            return;
        };
        let over = Arc::new(AtomicBool::new(false));
        let mut tasks: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        for child in &children {
            let (child, sim, over) = (child.clone(), sim.clone(), over.clone());
            tasks.push(Box::pin(every::spawn("poker", async move {
                for n in 0..30 {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    poke(&child, n, &sim).await;
                    sim.sleep(Duration::from_millis(draw(&sim, 4))).await;
                }
            })));
        }
        for (k, handle) in [handle.clone(), below].into_iter().enumerate() {
            let (sim, stage) = (sim.clone(), stage.clone());
            tasks.push(Box::pin(every::spawn("changer", async move {
                for n in 0..5 {
                    change(&handle, 10 * n + u32::try_from(k).unwrap(), &stage, &sim).await;
                    sim.sleep(Duration::from_millis(draw(&sim, 20))).await;
                }
            })));
        }
        sim.sleep(Duration::from_millis(draw(&sim, 150))).await;
        let ended = handle.stop().await;
        assert!(ended.stuck.is_empty(), "{ended:?}");
        assert_eq!(stage.alive(), Vec::<String>::new(), "ended means ended");
        over.store(true, Ordering::SeqCst);
        // Nobody is left waiting.
        for task in tasks {
            task.await;
        }
        for child in &children {
            assert!(child.is_closed());
            child.ended().await;
        }
        stage.assert_no_overlap();
    });
}

/// G14
#[test]
fn every_message_is_handled_once_and_in_order_whatever_crashes_around_it() {
    every::seed(200, |sim| async move {
        let stage = Stage::new();
        let strategy = pick(&sim, &STRATEGIES);
        let mut tree = Supervisor::new(&System::start().unwrap(), strategy)
            .intensity(Intensity::new(10_000, Duration::from_secs(1)));
        let names = ["a", "b", "c"];
        let children = names.map(|name| {
            let own = sim.clone();
            let spec = stage.spec_with(name, move |mut unit| {
                unit.start_fails = unit.incarnation > 1 && draw(&own, 3) == 0;
                unit.drop_panics = draw(&own, 3) == 0;
                unit
            });
            tree.child(spec.capacity(1 + draw(&sim, 4) as usize).stop_timeout(None)).unwrap()
        });
        let handle = tree.start().await.unwrap();
        let sent = Arc::new(Mutex::new(0));
        let senders = children.clone().map(|child| {
            let (sim, sent) = (sim.clone(), sent.clone());
            every::spawn("sender", async move {
                for n in 0..40 {
                    child.send(Tell::Note(n)).await.unwrap();
                    *sent.lock().unwrap() += 1;
                    match draw(&sim, 6) {
                        0 => child.send(Tell::Fail).await.unwrap(),
                        1 => child.send(Tell::Panic).await.unwrap(),
                        2 => child.send(Tell::Leave).await.unwrap(),
                        _ => {}
                    }
                }
                child.ask(Tell::Which).await.unwrap();
            })
        });
        for sender in senders {
            sender.await;
        }
        assert_eq!(handle.stop().await.unhandled, 0);
        let lines = stage.log.take();
        for name in names {
            let notes: Vec<u32> =
                lines.iter().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok()).collect();
            assert_eq!(notes, (0..40).collect::<Vec<_>>(), "{strategy:?}, {name}");
        }
        assert_eq!(*sent.lock().unwrap(), 120);
        stage.assert_no_overlap();
    });
}
