//! Does the line agree with a list of who waits, a number of free places and what these may bear?

use proptest::prelude::*;

use super::kit::Pulse;
use crate::mailbox::line::Line;

/// What may be inside weighs so much: two heavy ones don't fit, and light ones do.
const LIMIT: u64 = 5;

#[derive(Clone, Debug)]
enum Step {
    Join(u64),
    Leave(prop::sample::Index),
    Renew(prop::sample::Index),
    /// Enters, if it may; `None`: a newcomer.
    Enter(Option<prop::sample::Index>, u64),
    GiveBack(prop::sample::Index),
    Settle(prop::sample::Index),
    Call,
    Trim,
    Everyone,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => (0..=LIMIT).prop_map(Step::Join),
        2 => who().prop_map(Step::Leave),
        1 => who().prop_map(Step::Renew),
        6 => (proptest::option::weighted(0.6, who()), 0..=LIMIT)
            .prop_map(|(who, weight)| Step::Enter(who, weight)),
        1 => who().prop_map(Step::GiveBack),
        4 => who().prop_map(Step::Settle),
        4 => Just(Step::Call),
        1 => Just(Step::Trim),
        1 => Just(Step::Everyone),
    ];
    proptest::collection::vec(step, 0..200)
}

/// One who waits, in the toy: whom to wake, and whether it was told.
struct Toy {
    ticket: crate::mailbox::line::Ticket,
    pulse: Pulse,
    told: bool,
    weight: u64,
}

proptest! {
    #[test]
    fn the_line_agrees_with_a_list(capacity in 1usize..6, steps in steps()) {
        let mut line = Line::new(capacity, LIMIT);
        let mut toy: Vec<Toy> = Vec::new();
        // What each taken place bears.
        let (mut inside, mut done) = (Vec::<u64>::new(), 0u64);
        for step in steps {
            let free = capacity - inside.len();
            let has_room =
                |inside: &[u64], weight: u64| inside.len() < capacity && inside.iter().sum::<u64>() + weight <= LIMIT;
            let at = |index: prop::sample::Index, toy: &[Toy]| (!toy.is_empty()).then(|| index.index(toy.len()));
            match step {
                Step::Join(weight) => {
                    let pulse = Pulse::new();
                    let ticket = line.join(pulse.cx().waker(), weight);
                    toy.push(Toy { ticket, pulse, told: false, weight });
                }
                Step::Leave(index) => if let Some(at) = at(index, &toy) {
                    let gone = toy.remove(at);
                    let waker = line.leave(gone.ticket);
                    prop_assert_eq!(waker.is_some(), !gone.told);
                    if let Some(waker) = waker {
                        prop_assert!(waker.will_wake(gone.pulse.cx().waker()), "it got its own waker back");
                    }
                    prop_assert!(line.leave(gone.ticket).is_none());
                    prop_assert!(line.renew(gone.ticket, gone.pulse.cx().waker()).is_none());
                },
                Step::Renew(index) => if let Some(at) = at(index, &toy) {
                    let (pulse, waits) = (Pulse::new(), &mut toy[at]);
                    prop_assert!(line.renew(waits.ticket, waits.pulse.cx().waker()).is_none());
                    let old = line.renew(waits.ticket, pulse.cx().waker());
                    prop_assert!(old.is_some_and(|old| old.will_wake(waits.pulse.cx().waker())));
                    waits.pulse = pulse;
                    waits.told = false;
                },
                Step::Enter(None, weight) => {
                    // Everyone who waits could come in beside it.
                    let all: u64 = inside.iter().chain([&weight]).sum::<u64>() + toy.iter().map(|waits| waits.weight).sum::<u64>();
                    let may = free > toy.len() && all <= LIMIT;
                    prop_assert_eq!(line.admits(None, weight, done), may);
                    prop_assert_eq!(line.is_open(weight, done), toy.is_empty() && has_room(&inside, weight));
                    if may {
                        line.take(weight);
                        inside.push(weight);
                    }
                }
                Step::Enter(Some(index), _) => if let Some(at) = at(index, &toy) {
                    let (ticket, weight) = (toy[at].ticket, toy[at].weight);
                    let may = at == 0 && has_room(&inside, weight);
                    prop_assert_eq!(line.admits(Some(ticket), weight, done), may);
                    prop_assert_eq!(line.is_first(Some(ticket)), at == 0);
                    if may {
                        line.leave(toy.remove(0).ticket);
                        line.take(weight);
                        inside.push(weight);
                    }
                },
                Step::GiveBack(index) => if !inside.is_empty() {
                    line.give_back(inside.remove(index.index(inside.len())));
                },
                Step::Settle(index) => if !inside.is_empty() {
                    line.unload(inside.remove(index.index(inside.len())));
                    done += 1;
                },
                Step::Call => {
                    let called = line.call_front(done);
                    let wanted = toy.first_mut().filter(|front| has_room(&inside, front.weight) && !front.told);
                    prop_assert_eq!(called.is_some(), wanted.is_some());
                    if let (Some(waker), Some(front)) = (called, wanted) {
                        waker.wake();
                        prop_assert_eq!(front.pulse.wakes(), 1);
                        front.told = true;
                    }
                }
                Step::Trim => line.trim(),
                Step::Everyone => {
                    line.everyone().into_iter().for_each(std::task::Waker::wake);
                    for waits in &toy {
                        prop_assert_eq!(waits.pulse.wakes(), usize::from(!waits.told));
                    }
                }
            }
            prop_assert_eq!((line.held(done), line.load()), (inside.len() as u64, inside.iter().sum::<u64>()));
            prop_assert_eq!(line.is_first(None), toy.is_empty());
            prop_assert_eq!(line.is_expectant(), toy.first().is_some_and(|front| !front.told));
        }
    }
}
