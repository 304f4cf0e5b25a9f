//! Does the seat keep what outlives an incarnation? What users see of an actor is tested in tests/it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::oneshot;

use super::life::{Until, Watcher};
use super::{Actor, Address, Context, Core, Ended, Exit, Lived, Spawn, Stop, System};
use crate::base::{Fault, Name};
use crate::mailbox::Reply;
use crate::runtime::Rt;
use crate::sim::Sim;

/// Writes down what it handles, until it is told to fail.
struct Clerk {
    handled: Arc<std::sync::Mutex<Vec<u32>>>,
    alive: Arc<AtomicUsize>,
}

enum Order {
    Write(u32),
    Fail,
    Panic,
    Hang(oneshot::Sender<()>),
    StopItself,
    Answer(Reply<()>),
}

impl Actor for Clerk {
    type Message = Order;
    async fn handle(&mut self, order: Order, context: &mut Context<Order>) -> Result<(), Fault> {
        match order {
            Order::Write(n) => self.handled.lock().unwrap().push(n),
            Order::Fail => return Err(Fault::new("failed")),
            Order::Panic => panic!("panicked"),
            Order::Hang(entered) => {
                let _ = entered.send(());
                std::future::pending().await
            }
            Order::StopItself => context.stop_now(),
            Order::Answer(reply) => drop(reply.send(())),
        }
        Ok(())
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An office restarts its clerk whatever happens, until nobody is left who could send anything.
struct Office {
    handled: Arc<std::sync::Mutex<Vec<u32>>>,
    exits: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Office {
    fn open(system: &System, capacity: usize) -> (Office, Address<Order>) {
        let (mut seat, address) = Spawn::unnamed(system).capacity(capacity).seat().unwrap();
        let office = Office { handled: Arc::default(), exits: Arc::default() };
        let (handled, exits, alive) = (office.handled.clone(), office.exits.clone(), Arc::default());
        system.rt().spawn("office", async move {
            let mut last = Lived::NOT_YET;
            for incarnation in 1.. {
                let make = || {
                    let alive: &Arc<AtomicUsize> = &alive;
                    assert_eq!(alive.fetch_add(1, Ordering::SeqCst), 0, "two incarnations at a time");
                    Clerk { handled: handled.clone(), alive: alive.clone() }
                };
                seat.begin(incarnation, &last);
                last = seat.live(make, || ()).await;
                exits.lock().unwrap().push(last.exit.to_string());
                if matches!(last.exit, Exit::Abandoned) {
                    break;
                }
            }
            seat.end(last);
        });
        (office, address)
    }

    fn handled(&self) -> Vec<u32> {
        self.handled.lock().unwrap().clone()
    }

    fn exits(&self) -> Vec<String> {
        self.exits.lock().unwrap().clone()
    }
}

/// Runs a test under 30 seeds.
fn simulate<F: Future<Output = ()> + Send + 'static>(test: impl Fn(System) -> F) {
    for seed in 0..30 {
        let sim = Sim::new(seed);
        sim.block_on(test(System::on(Rt::new(sim.clone()))));
        assert!(sim.panics().is_empty(), "seed {seed}: {:?}", sim.panics());
    }
}

#[test]
fn what_was_accepted_is_handled_in_order_by_one_incarnation_after_the_other() {
    simulate(|system| async move {
        for capacity in [1, 2, 64] {
            let (office, address) = Office::open(&system, capacity);
            for n in 0..30 {
                address.send(Order::Write(n)).await.unwrap();
                match n % 3 {
                    0 => address.send(Order::Panic).await.unwrap(),
                    1 => address.send(Order::Fail).await.unwrap(),
                    _ => address.send(Order::StopItself).await.unwrap(),
                }
            }
            address.ask(Order::Answer).await.unwrap();
            assert_eq!(address.stop().await.unhandled, 0);
            assert_eq!(office.handled(), (0..30).collect::<Vec<_>>());
            let exits = office.exits();
            assert_eq!(exits.len(), 31);
            assert_eq!(exits[..3], ["panicked: panicked", "failed: failed", "stopped"]);
        }
    });
}

#[test]
fn failures_while_it_drains_lose_nothing() {
    simulate(|system| async move {
        for by_drop in [false, true] {
            let (office, address) = Office::open(&system, 64);
            for n in 0..10 {
                address.send(Order::Write(n)).await.unwrap();
                address.send(if n % 2 == 0 { Order::Panic } else { Order::Fail }).await.unwrap();
            }
            let ended = address.ended();
            if !by_drop {
                assert_eq!(address.stop().await.unhandled, 0, "the rest is left to the next incarnations");
            }
            drop(address);
            assert_eq!(ended.await.unhandled, 0);
            assert_eq!(office.handled(), (0..10).collect::<Vec<_>>());
            assert!((11..=12).contains(&office.exits().len()), "{:?}", office.exits());
        }
    });
}

#[test]
fn no_end_of_an_incarnation_loses_a_place() {
    simulate(|system| async move {
        let (office, address) = Office::open(&system, 1);
        let weak = address.downgrade();
        for round in 0..5 {
            address.send(Order::Panic).await.unwrap();
            address.send(Order::Fail).await.unwrap();
            let (entered, inside) = oneshot::channel();
            address.send(Order::Hang(entered)).await.unwrap();
            inside.await.unwrap();
            weak.end(round * 3 + 3, Stop::Kill);
            address.ask(Order::Answer).await.unwrap();
        }
        // The answer comes before the place of its question.
        while address.queued() > 0 {
            let _ = address.ask_within(std::time::Duration::from_nanos(1), Order::Answer).await;
            Sim::current().unwrap().settle().await;
        }
        assert_eq!(office.exits().len(), 15);
    });
}

#[test]
fn a_stop_from_outside_ends_one_incarnation_and_is_answered() {
    simulate(|system| async move {
        for round in 0..3 {
            let (office, address) = Office::open(&system, 8);
            for _ in 0..10 {
                // The stop arrives before, in or after the incarnation that fails, as the seed has it.
                address.send(Order::Fail).await.unwrap();
                let before = office.exits().len();
                match round {
                    0 => drop(address.stop().await),
                    1 => drop(address.stop_now().await),
                    _ => drop(address.kill().await),
                }
                assert!(office.exits().len() > before);
                address.ask(Order::Answer).await.unwrap();
            }
            assert!((10..=20).contains(&office.exits().len()), "{:?}", office.exits());
        }
    });
}

#[test]
fn a_supervisor_s_stop_keeps_the_mailbox_open() {
    simulate(|system| async move {
        let (office, address) = Office::open(&system, 8);
        let weak = address.downgrade();
        let (entered, inside) = oneshot::channel();
        address.send(Order::Hang(entered)).await.unwrap();
        inside.await.unwrap();
        address.send(Order::Write(1)).await.unwrap();
        weak.end(1, Stop::Now);
        weak.end(1, Stop::Kill);
        address.ask(Order::Answer).await.unwrap();
        weak.end(1, Stop::Kill);
        address.ask(Order::Answer).await.unwrap();
        assert_eq!(office.exits(), ["killed"], "a stop for the one before is none of its business");
        weak.end(2, Stop::Now);
        address.ask(Order::Answer).await.unwrap();
        assert_eq!(office.handled(), [1]);
        assert_eq!(office.exits(), ["killed", "stopped"]);
    });
}

#[test]
fn a_supervisor_s_graceful_stop_drains_and_the_mailbox_is_opened_again() {
    simulate(|system| async move {
        let (office, address) = Office::open(&system, 8);
        for n in 0..3 {
            address.send(Order::Write(n)).await.unwrap();
        }
        address.downgrade().end(1, Stop::Drain);
        while office.exits().is_empty() {
            Sim::current().unwrap().settle().await;
        }
        address.ask(Order::Answer).await.unwrap();
        assert_eq!((office.handled(), office.exits()), (vec![0, 1, 2], vec!["stopped".to_owned()]));
    });
}

#[test]
fn everybody_hears_of_the_end_of_a_seat_in_which_nobody_lived() {
    simulate(|system| async move {
        let (seat, address) = Spawn::unnamed(&system).seat::<Order>().unwrap();
        address.send(Order::Write(1)).await.unwrap();
        let rest = address.stop_now();
        drop(seat);
        assert_eq!(rest.await.len(), 1);
        let ended = address.ended().await;
        assert!(matches!(ended.exit, Exit::Killed));
        assert_eq!(ended.unhandled, 1);
    });
}

/// A watcher that may be gone.
struct Listener(Arc<AtomicUsize>, bool);

impl Watcher<Ended> for Listener {
    fn tell(self: Box<Self>, _: &Ended) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn is_gone(&self) -> bool {
        self.1
    }
}

#[test]
fn watchers_that_are_gone_are_swept_and_the_others_are_told() {
    let core = Core::new(Name::new("x").unwrap(), System::on(Rt::new(Sim::new(0))));
    let told = Arc::new(AtomicUsize::new(0));
    for n in 0..10_000 {
        let until = if n % 2000 == 0 { Until::End } else { Until::Incarnation };
        core.life.watch(until, Box::new(Listener(told.clone(), n % 1000 != 0)));
        let kept = Arc::strong_count(&told) - 1;
        assert!(kept <= 16.max(2 * (n / 1000 + 1)), "{kept} kept after {n}");
    }
    let ended = Ended { name: core.name.clone(), exit: Exit::Stopped, unhandled: 0 };
    core.life.end(ended);
    assert!(told.load(Ordering::SeqCst) >= 10);
    let after = told.load(Ordering::SeqCst);
    core.life.watch(Until::End, Box::new(Listener(told.clone(), false)));
    assert_eq!(told.load(Ordering::SeqCst), after + 1);
    assert_eq!(Arc::strong_count(&told), 1);
}
