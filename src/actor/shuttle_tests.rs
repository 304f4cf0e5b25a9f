//! Is there a schedule of threads in which somebody is not told of an end, or two actors have one name?
//!
//! How to run it, and what it cannot show: `mailbox/shuttle_tests.rs`.
#![cfg(callboard_shuttle)]

use std::sync::{Arc, Mutex};

use shuttle::future::block_on;
use shuttle::thread;

use super::life::{Life, Until, Watcher};
use super::{Actor, Context, Exit, Spawn, System};
use crate::base::Fault;
use crate::base::sync::explore;
use crate::runtime::{Explored, Rt};

/// What one watcher was told. Its lock is not one that the explorer sees: it is no place to switch threads.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<u8>>>);

struct Watching {
    ear: Ear,
    gone: bool,
}

impl Watcher<u8> for Watching {
    fn tell(self: Box<Self>, ended: &u8) {
        self.ear.0.lock().unwrap().push(*ended);
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}

impl Ear {
    fn listen(&self, life: &Life<u8>, until: Until) {
        life.watch(until, Box::new(Watching { ear: self.clone(), gone: false }));
    }

    #[track_caller]
    fn heard_once(&self) -> u8 {
        let heard = self.0.lock().unwrap();
        assert_eq!(heard.len(), 1, "told {heard:?}");
        heard[0]
    }
}

/// Registers one watcher of each kind, each in a thread of its own, while `around` goes on.
fn watch_around(life: &Arc<Life<u8>>, around: impl FnOnce()) -> (Ear, Ear) {
    let (end, incarnation) = (Ear::default(), Ear::default());
    let watchers =
        [(end.clone(), Until::End), (incarnation.clone(), Until::Incarnation)].map(|(ear, until)| {
            let life = life.clone();
            thread::spawn(move || ear.listen(&life, until))
        });
    around();
    for watcher in watchers {
        watcher.join().unwrap();
    }
    (end, incarnation)
}

#[test]
fn whoever_watches_around_an_end_is_told_once_and_all_the_same() {
    explore(|| {
        let life = Arc::new(Life::default());
        let before = Ear::default();
        before.listen(&life, Until::End);
        let (end, incarnation) = watch_around(&life, || {
            let other = life.clone();
            let other = thread::spawn(move || other.end(1));
            life.end(2);
            other.join().unwrap();
        });
        let ended = life.ended().unwrap();
        assert!([before, end, incarnation].iter().all(|ear| ear.heard_once() == ended));
    });
}

#[test]
fn the_end_of_an_incarnation_reaches_those_who_wait_for_it_and_keeps_the_others() {
    explore(|| {
        let life = Arc::new(Life::default());
        let (end, incarnation) = watch_around(&life, || {
            life.pass(&1);
            life.pass(&2);
            life.end(3);
        });
        assert_eq!(end.heard_once(), 3);
        assert!([1, 2, 3].contains(&incarnation.heard_once()));
    });
}

#[test]
fn a_life_that_begins_again_forgets_nobody() {
    explore(|| {
        let life = Arc::new(Life::default());
        let (end, incarnation) = watch_around(&life, || {
            let other = life.clone();
            let other = thread::spawn(move || other.revive());
            life.end(1);
            life.revive();
            other.join().unwrap();
        });
        assert!(!life.has_ended());
        life.end(2);
        assert!([end, incarnation].iter().all(|ear| [1, 2].contains(&ear.heard_once())));
    });
}

#[test]
fn dead_watchers_are_swept_out_and_no_living_one_with_them() {
    explore(|| {
        let life = Arc::new(Life::default());
        let gone = Ear::default();
        // One less than are kept before dead ones are looked for.
        for _ in 0..14 {
            life.watch(Until::End, Box::new(Watching { ear: gone.clone(), gone: true }));
        }
        let (end, incarnation) = watch_around(&life, || life.end(1));
        assert_eq!((end.heard_once(), incarnation.heard_once()), (1, 1));
        assert!([0, 14].contains(&gone.0.lock().unwrap().len()), "they are swept out together, or told");
    });
}

#[test]
fn a_name_is_one_actors_at_a_time_and_free_after_it() {
    explore(|| {
        let system = System::on(Rt::new(Explored::still()));
        let holders = Arc::new(Mutex::new(0));
        let wanting: Vec<_> = (0..3)
            .map(|_| {
                let (system, holders) = (system.clone(), holders.clone());
                thread::spawn(move || {
                    let Ok((seat, _address)) = system.actor("clerk").unwrap().seat::<()>() else { return };
                    let count = |by: i32| {
                        let mut holders = holders.lock().unwrap();
                        *holders += by;
                        assert!(*holders <= 1, "two are called the same");
                    };
                    count(1);
                    thread::yield_now();
                    assert!(system.find::<()>("clerk").is_some());
                    count(-1);
                    drop(seat);
                })
            })
            .collect();
        for one in wanting {
            one.join().unwrap();
        }
        assert_eq!(system.names_of_actors(), []);
        assert!(system.actor("clerk").unwrap().seat::<()>().is_ok());
    });
}

#[test]
fn no_two_unnamed_actors_get_one_number() {
    explore(|| {
        let system = System::on(Rt::new(Explored::still()));
        let spawned = [(); 2].map(|()| {
            let system = system.clone();
            thread::spawn(move || Spawn::unnamed(&system).seat::<()>().unwrap().1.name().clone())
        });
        let [first, second] = spawned.map(|name| name.join().unwrap());
        assert_ne!(first, second);
    });
}

struct Clerk;

impl Actor for Clerk {
    type Message = ();

    async fn handle(&mut self, _: (), _: &mut Context<()>) -> Result<(), Fault> {
        Ok(())
    }
}

#[test]
fn whoever_waits_for_an_actors_end_is_told_the_same_and_finds_its_name_free() {
    explore(|| {
        let system = System::on(Rt::new(Explored::still()));
        let clerk = system.actor("clerk").unwrap().spawn(Clerk).unwrap();
        let ends = [0, 1, 2].map(|how| {
            let (system, clerk) = (system.clone(), clerk.clone());
            thread::spawn(move || {
                let _ = clerk.try_send(());
                let ended = block_on(match how {
                    0 => clerk.stop(),
                    1 => clerk.kill(),
                    _ => clerk.ended(),
                });
                if how == 2 {
                    assert!(
                        system.actor("clerk").unwrap().seat::<()>().is_ok(),
                        "told before the name is free"
                    );
                }
                ended
            })
        });
        let [stopped, killed, waited] = ends.map(|end| end.join().unwrap());
        assert!(matches!(waited.exit, Exit::Stopped | Exit::Killed));
        for told in [stopped, killed] {
            assert_eq!(format!("{told:?}"), format!("{waited:?}"));
        }
    });
}
