//! Is each message settled once, and do the books balance, whatever limits come together? (G5, G7, G10, G25)
//!
//! Time, lag, eviction, redrives and pauses, in each order of a group. The model knows of each message whether it is
//! settled and who holds it; where else it is, is the ledger's own affair.

mod lot;
mod model;

use super::*;
use model::{Model, Step, With};
use proptest::prelude::*;

fn step() -> impl Strategy<Value = Step> {
    let which = any::<usize>;
    let message = (0..4_u64, prop_oneof![3 => Just(0), 2 => 1..30_u64]);
    prop_oneof![
        5 => prop::collection::vec(message, 1..20).prop_map(Step::Batch),
        16 => (which(), prop::collection::vec(0..12_u8, 1..5)).prop_map(|(which, says)| Step::Work(which, says)),
        3 => which().prop_map(Step::GiveBack),
        4 => (which(), 0..4_u16).prop_map(|(which, keep)| Step::TakeBack(which, keep)),
        4 => (0..12_u64).prop_map(Step::Later),
        3 => (0..12_u64).prop_map(Step::Unnoticed),
        3 => which().prop_map(Step::Evict),
        3 => Just(Step::Hear),
        2 => which().prop_map(Step::DeadLettered),
        2 => which().prop_map(Step::Redrive),
        3 => Just(Step::Pause),
    ]
}

fn with() -> impl Strategy<Value = With> {
    let order = prop_oneof![2 => Just(Order::Shared), 2 => Just(Order::Keyed), 1 => Just(Order::Exclusive)];
    let some = |range: std::ops::Range<u32>| prop::option::of(range);
    (order, some(1..25), some(1..12), some(1..4), any::<bool>(), any::<bool>()).prop_map(
        |(order, ttl, max_lag, max_parked, dead_letter_expired, pull)| With {
            order,
            ttl: ttl.map(u64::from),
            max_lag,
            max_parked: max_parked.filter(|_| order == Order::Keyed),
            dead_letter_expired,
            pull,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// G5, G7, G10, G25.
    #[test]
    fn each_message_is_settled_once_under_any_limits_and_any_sequence_of_events(
        with in with(),
        steps in prop::collection::vec(step(), 0..100),
    ) {
        let mut model = Model::new(with);
        for step in steps {
            model.step(step);
        }
        model.finish();
    }
}
