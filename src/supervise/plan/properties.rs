//! Does a plan keep its promises under any sequence of events? A toy world plays the children.

mod world;

use super::*;
use crate::supervise::Strategy;
use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use world::{Step, Toy, World};

fn restart() -> impl proptest::strategy::Strategy<Value = Restart> {
    prop_oneof![3 => Just(Restart::Always), 2 => Just(Restart::OnFailure), 1 => Just(Restart::Never)]
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    let child = 0..5_u64;
    let end = prop_oneof![Just(End::Normal), Just(End::Failed)];
    prop_oneof![
        1 => child.clone().prop_map(Step::Started),
        8 => (child.clone(), end).prop_map(|(child, end)| Step::Exit(child, end)),
        6 => Just(Step::StopDone),
        1 => Just(Step::Stuck),
        8 => Just(Step::StartDone),
        5 => Just(Step::Alarm),
        3 => (0..40_u64).prop_map(Step::Sleep),
        1 => restart().prop_map(Step::Add),
        1 => child.prop_map(Step::Remove),
    ]
}

fn strategy() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop_oneof![Just(Strategy::OneForOne), Just(Strategy::RestForOne), Just(Strategy::OneForAll)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_promise_holds_under_any_sequence_of_events(
        strategy in strategy(),
        children in prop::collection::vec(restart(), 0..5),
        steps in prop::collection::vec(step(), 0..80),
        shutdown in any::<bool>(),
    ) {
        let mut world = World::new(strategy, &children);
        for step in steps {
            world.step(step);
        }
        if shutdown {
            world.step(Step::Shutdown);
        }
        world.settle();
        prop_assert!(world.over || !world.shutdown, "a shutdown ends");
        if !world.over {
            prop_assert!(world.ready, "a supervisor whose children all start is ready");
            for (id, (toy, restart)) in &world.toys {
                prop_assert!(*toy == Toy::Up || *restart == Restart::OnFailure, "{:?} stays down", id);
            }
        }
    }
}
