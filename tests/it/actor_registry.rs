//! Does a name lead to one living actor, or to none?

use callboard::actor::{Spawn, SpawnError, System};
use callboard::base::Name;

use crate::actor_probe::{Do, Log, Probe, caught_up, hold};
use crate::every;

#[test]
fn a_name_finds_its_actor_while_that_lives() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let probe = system.actor("clerk").unwrap().spawn(Probe::new(&Log::default())).unwrap();
        assert_eq!(probe.name().as_str(), "clerk");
        let found = system.find::<Do>("clerk").unwrap();
        caught_up(&found).await;
        assert!(system.find::<String>("clerk").is_none(), "an address of another type was handed out");
        assert!(system.find::<Do>("nobody").is_none());
        assert!(system.find::<Do>("").is_none());
        assert_eq!(system.names_of_actors(), [Name::new("clerk").unwrap()]);
        // Another system, other names.
        assert!(System::start().unwrap().find::<Do>("clerk").is_none());
        drop(found);
        probe.stop().await;
        assert!(system.find::<Do>("clerk").is_none());
        assert!(system.names_of_actors().is_empty());
    });
}

#[test]
fn a_living_actor_s_name_is_taken_and_a_dead_one_s_is_free() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let spawn = || system.actor("clerk").unwrap().spawn(Probe::new(&Log::default()));
        for _ in 0..3 {
            let probe = spawn().unwrap();
            let error = spawn().unwrap_err();
            assert!(matches!(&error, SpawnError::NameTaken(name) if name.as_str() == "clerk"));
            assert_eq!(error.to_string(), "not spawned: a living actor is called clerk");
            // The refused one took nothing with it.
            caught_up(&system.find::<Do>("clerk").unwrap()).await;
            probe.send(Do::Panic("ouch")).await.unwrap();
            probe.ended().await;
        }
    });
}

#[test]
fn an_actor_without_addresses_is_found_until_it_has_ended_and_never_revived() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let probe = system.actor("clerk").unwrap().spawn(Probe::new(&Log::default())).unwrap();
        let open = hold(&probe).await;
        let ended = probe.ended();
        drop(probe);
        // It is handling its last message, and nobody can reach it any more.
        assert!(system.find::<Do>("clerk").is_none());
        assert!(system.actor("clerk").unwrap().spawn(Probe::new(&Log::default())).is_err());
        drop(open);
        ended.await;
        system.actor("clerk").unwrap().spawn(Probe::new(&Log::default())).unwrap();
    });
}

#[test]
fn actors_without_a_name_are_numbered_and_not_found() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let (one, two) =
            (system.spawn(Probe::new(&Log::default())), system.spawn(Probe::new(&Log::default())));
        assert_ne!(one.name(), two.name());
        assert!(system.find::<Do>(one.name().as_str()).is_none());
        // Even one that is given such a name is not forgotten when the numbered one ends.
        let name = one.name().clone();
        let named = system.actor(name.as_str()).unwrap().spawn(Probe::new(&Log::default())).unwrap();
        one.stop().await;
        assert!(system.find::<Do>(name.as_str()).is_some());
        named.stop().await;
    });
}

#[test]
fn bad_settings_are_refused_at_the_door() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let long = "x".repeat(256);
        for name in ["", " ", "a b", "line\nbreak", &long] {
            assert!(system.actor(name).is_err(), "{name:?}");
        }
        for capacity in [0, Spawn::MOST + 1, usize::MAX] {
            let spawn = system.actor("clerk").unwrap().capacity(capacity);
            let error = spawn.spawn(Probe::new(&Log::default())).unwrap_err();
            assert_eq!(error, SpawnError::InvalidCapacity(capacity));
            assert!(error.to_string().contains(&capacity.to_string()));
        }
        // Nothing of it is left: neither a name nor an actor.
        assert!(system.names_of_actors().is_empty());
        for capacity in [1, Spawn::MOST] {
            let spawn = system.actor("clerk").unwrap().capacity(capacity);
            spawn.spawn(Probe::new(&Log::default())).unwrap().stop().await;
        }
    });
}

#[test]
fn of_many_who_want_one_name_one_gets_it() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let tasks = (0..8).map(|_| {
            let system = system.clone();
            every::spawn("rival", async move {
                system.actor("clerk").unwrap().spawn(Probe::new(&Log::default())).ok()
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut winners = Vec::new();
        for task in tasks {
            winners.extend(task.await);
        }
        assert_eq!(winners.len(), 1);
    });
}
