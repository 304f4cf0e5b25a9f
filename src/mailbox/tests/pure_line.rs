//! Does the line agree with a list of who waits and a number of free places?

use proptest::prelude::*;

use super::kit::Pulse;
use crate::mailbox::line::Line;

#[derive(Clone, Debug)]
enum Step {
    Join,
    Leave(prop::sample::Index),
    Renew(prop::sample::Index),
    /// Enters, if it may; `None`: a newcomer.
    Enter(Option<prop::sample::Index>),
    GiveBack,
    Settle,
    Call,
    Trim,
    Everyone,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => Just(Step::Join),
        2 => who().prop_map(Step::Leave),
        1 => who().prop_map(Step::Renew),
        6 => proptest::option::weighted(0.6, who()).prop_map(Step::Enter),
        1 => Just(Step::GiveBack),
        4 => Just(Step::Settle),
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
}

proptest! {
    #[test]
    fn the_line_agrees_with_a_list(capacity in 1usize..6, steps in steps()) {
        let mut line = Line::new(capacity);
        let mut toy: Vec<Toy> = Vec::new();
        let (mut free, mut done, mut held) = (capacity, 0u64, 0u64);
        for step in steps {
            let at = |index: prop::sample::Index, toy: &[Toy]| (!toy.is_empty()).then(|| index.index(toy.len()));
            match step {
                Step::Join => {
                    let pulse = Pulse::new();
                    let ticket = line.join(pulse.cx().waker());
                    toy.push(Toy { ticket, pulse, told: false });
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
                Step::Enter(None) => {
                    let may = free > toy.len();
                    prop_assert_eq!(line.admits(None, done), may);
                    prop_assert_eq!(line.spare(done), free.saturating_sub(toy.len()) as u64);
                    if may {
                        line.take(1);
                        (free, held) = (free - 1, held + 1);
                    }
                }
                Step::Enter(Some(index)) => if let Some(at) = at(index, &toy) {
                    let may = at == 0 && free > 0;
                    prop_assert_eq!(line.admits(Some(toy[at].ticket), done), may);
                    prop_assert_eq!(line.is_first(Some(toy[at].ticket)), at == 0);
                    if may {
                        line.leave(toy.remove(0).ticket);
                        line.take(1);
                        (free, held) = (free - 1, held + 1);
                    }
                },
                Step::GiveBack => if held > 0 {
                    line.give_back();
                    (free, held) = (free + 1, held - 1);
                },
                Step::Settle => if held > 0 {
                    done += 1;
                    (free, held) = (free + 1, held - 1);
                },
                Step::Call => {
                    let called = line.call_front(done);
                    let wanted = toy.first_mut().filter(|front| free > 0 && !front.told);
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
            prop_assert_eq!(line.held(done), held);
            prop_assert_eq!(line.is_first(None), toy.is_empty());
            prop_assert_eq!(line.is_expectant(), toy.first().is_some_and(|front| !front.told));
        }
    }
}
