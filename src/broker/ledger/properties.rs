//! Does the ledger keep its promises (G7, G8, G10, G11, G25) under any sequence of events? A toy model, which knows
//! one place per message, is asked after each of them.

mod model;
mod says;
mod toy;

use super::*;
use crate::broker::KeyHash;
use model::Model;
use proptest::prelude::*;
use says::Says;
use std::time::Duration;
use toy::Step;

/// In a group that is shared nobody asks.
impl BatchHandle for std::sync::Arc<u64> {
    fn key(&self, _: u16) -> KeyHash {
        KeyHash::default()
    }
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        2 => Just(Says::Ack),
        4 => Just(Says::Fail),
        2 => prop_oneof![Just(0), 1..9_u64].prop_map(Says::FailFor),
        1 => Just(Says::Drop),
        1 => Just(Says::Dead),
        2 => Just(Says::Release),
        2 => Just(Says::NoRoom),
    ]
}

fn prefetch() -> impl Strategy<Value = u32> {
    prop_oneof![1..5_u32, Just(20), Just(512)]
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<u16>;
    let exceptions = prop::collection::vec((1..6_u16, says()), 0..4);
    prop_oneof![
        4 => (0..3_u16, prop_oneof![2 => Just(1), 9 => 1..30_u16, 1 => Just(200)]).prop_map(|(skip, len)| Step::Batch { skip, len }),
        2 => (any::<bool>(), prefetch()).prop_map(|(pull, prefetch)| Step::Consumer { pull, prefetch }),
        3 => (which(), prop::bool::weighted(0.8)).prop_map(|(who, ready)| Step::Ready { who, ready }),
        1 => which().prop_map(Step::Gone),
        8 => Just(Step::Dispatch),
        12 => (which(), 0..40_u16, exceptions).prop_map(|(which, through, exceptions)| Step::Report { which, through, exceptions }),
        3 => (which(), says()).prop_map(|(which, says)| Step::Sole { which, says }),
        3 => which().prop_map(Step::GiveBack),
        3 => (which(), 0..10_u16).prop_map(|(which, keep)| Step::TakeBack { which, keep }),
        4 => prop_oneof![5 => 0..9_u64, 1 => Just(100)].prop_map(Step::Later),
        3 => which().prop_map(Step::DeadLettered),
        3 => which().prop_map(Step::Redrive),
        2 => which().prop_map(Step::Stale),
    ]
}

fn retry() -> impl Strategy<Value = Retry> {
    let ms = Duration::from_millis;
    let backoff = prop_oneof![
        Just(Retry::immediately()),
        Just(Retry::fixed(ms(3))),
        Just(Retry::new(crate::supervise::Backoff::exponential(ms(1), ms(6)))),
    ];
    (backoff, 1..5_u32).prop_map(|(retry, attempts)| retry.max_attempts(attempts))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_message_is_in_one_place_and_settled_once_under_any_sequence_of_events(
        retry in retry(),
        steps in prop::collection::vec(step(), 0..100),
    ) {
        let mut model = Model::new(retry);
        model.step(Step::Consumer { pull: false, prefetch: 512 });
        for step in steps {
            model.step(step);
        }
        model.finish();
    }
}
