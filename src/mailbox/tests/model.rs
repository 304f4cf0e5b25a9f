//! Does the whole mailbox, polled, cancelled and settled at random, agree with a plain list? And is whoever may go
//! on always woken? One thread, so that nothing is excused by a race.

use std::collections::VecDeque;
use std::task::Poll;

use proptest::prelude::*;
use proptest::sample::Index;

use super::kit::Pulse;
use crate::mailbox::{Event, Receiver, Send, SendError, SendSink, Stamp, TrySendError, weighed_mailbox};

/// Few enough that no budget ends: those have tests of their own.
const STEPS: usize = 100;

#[derive(Clone, Debug)]
enum Step {
    TrySend,
    NewSend,
    PollSend(Index),
    DropSend(Index),
    NewSink,
    Reserve(Index),
    TryReserve(Index),
    Fill(Index),
    GiveUp(Index),
    DropSink(Index),
    Receive,
    ReceiveBurst(usize),
    WaitForControl,
    Settle(Index),
    TakeRest,
    Say,
    Rouse,
    Close,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = any::<Index>;
    let step = prop_oneof![
        4 => Just(Step::TrySend),
        6 => Just(Step::NewSend),
        20 => which().prop_map(Step::PollSend),
        4 => which().prop_map(Step::DropSend),
        2 => Just(Step::NewSink),
        6 => which().prop_map(Step::Reserve),
        2 => which().prop_map(Step::TryReserve),
        4 => which().prop_map(Step::Fill),
        1 => which().prop_map(Step::GiveUp),
        1 => which().prop_map(Step::DropSink),
        12 => Just(Step::Receive),
        2 => (0usize..4).prop_map(Step::ReceiveBurst),
        3 => Just(Step::WaitForControl),
        12 => which().prop_map(Step::Settle),
        1 => Just(Step::TakeRest),
        3 => Just(Step::Say),
        1 => prop_oneof![3 => Just(Step::Rouse), 1 => Just(Step::Close), 1 => Just(Step::Reopen)],
    ];
    proptest::collection::vec(step, 0..STEPS)
}

/// Weighs messages, by their numbers.
struct Scales;

impl Stamp<u32> for Scales {
    type Receipt = ();
    fn stamp(&mut self, _: &mut u32, _: u64, _: bool) {}
    fn weight(message: &u32) -> u64 {
        u64::from(message % 4)
    }
}

/// At least what the heaviest message weighs.
const LIMITS: std::ops::Range<u64> = 3..8;

fn load<'a>(messages: impl IntoIterator<Item = &'a u32>) -> u64 {
    messages.into_iter().map(Scales::weight).sum()
}

/// What a mailbox is, in plain words.
struct Toy {
    capacity: usize,
    limit: u64,
    queue: VecDeque<u32>,
    /// Taken out by the receiver in one go, not handed out yet: `poll_burst` must not be mixed with it.
    burst: VecDeque<u32>,
    words: usize,
    unsettled: Vec<u32>,
    /// What places are kept for.
    reserved: Vec<u32>,
    line: Vec<usize>,
    closed: bool,
    /// Everyone was woken once without a place, so that being woken proves nothing any more.
    roused: bool,
    parked: Parked,
    /// Since it was parked, there was a reason to wake it.
    had_reason: bool,
}

#[derive(PartialEq)]
enum Parked {
    No,
    ForControl,
    ForAll,
}

impl Toy {
    fn inside(&self) -> impl Iterator<Item = &u32> {
        self.queue.iter().chain(&self.burst).chain(&self.unsettled).chain(&self.reserved)
    }

    fn free(&self) -> usize {
        self.capacity - self.inside().count()
    }

    /// Whether there is a place that could bear so much.
    fn has_room(&self, weight: u64) -> bool {
        self.free() > 0 && load(self.inside()) + weight <= self.limit
    }

    /// What a poll for a place must answer; takes the place out of the free ones only by what the caller does next.
    fn poll_place(&mut self, who: usize, joins: bool) -> Poll<Result<(), ()>> {
        let at = self.line.iter().position(|waits| *waits == who);
        let weight = Scales::weight(&(who as u32));
        let wanted: u64 = self.line.iter().map(|waits| Scales::weight(&(*waits as u32))).sum();
        let may = match at {
            None if joins => {
                self.free() > self.line.len() && load(self.inside()) + wanted + weight <= self.limit
            }
            None => self.line.is_empty() && self.has_room(weight),
            Some(at) => at == 0 && self.has_room(weight),
        };
        if self.closed {
            if joins {
                self.line.retain(|waits| *waits != who);
            }
            Poll::Ready(Err(()))
        } else if may {
            self.line.retain(|waits| *waits != who);
            Poll::Ready(Ok(()))
        } else {
            if at.is_none() && joins {
                self.line.push(who);
            }
            Poll::Pending
        }
    }
}

/// A sender's future or sink in the real mailbox, with its number in the line of the toy, which is its message too.
struct Actor<T> {
    who: usize,
    it: T,
    pulse: Pulse,
    reserved: bool,
}

impl<T> Actor<T> {
    fn new(who: usize, it: T) -> Actor<T> {
        Actor { who, it, pulse: Pulse::new(), reserved: false }
    }
}

fn pick<T>(actors: &[T], which: Index) -> Option<usize> {
    (!actors.is_empty()).then(|| which.index(actors.len()))
}

fn run(capacity: usize, limit: u64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (tx, mut rx) = weighed_mailbox::<_, &'static str, _>(capacity, limit, Scales);
    let rx_pulse = Pulse::new();
    let mut toy = Toy {
        capacity,
        limit,
        queue: VecDeque::new(),
        burst: VecDeque::new(),
        words: 0,
        unsettled: Vec::new(),
        reserved: Vec::new(),
        line: Vec::new(),
        closed: false,
        roused: false,
        parked: Parked::No,
        had_reason: false,
    };
    let mut sends: Vec<Actor<Send<'_, u32, &'static str, Scales>>> = Vec::new();
    let mut sinks: Vec<Actor<SendSink<u32, &'static str, Scales>>> = Vec::new();
    let mut serial = 0;
    for step in steps {
        serial += 1;
        let (message, who) = (serial as u32, serial);
        match step {
            Step::TrySend => {
                let wanted = match toy.poll_place(who, false) {
                    Poll::Ready(Ok(())) => {
                        toy.queue.push_back(message);
                        Ok(())
                    }
                    Poll::Ready(Err(())) => Err(TrySendError::Closed(message)),
                    Poll::Pending => Err(TrySendError::Full(message)),
                };
                prop_assert_eq!(tx.try_send(message), wanted);
            }
            Step::NewSend => sends.push(Actor::new(who, tx.send(message))),
            Step::PollSend(which) => {
                if let Some(at) = pick(&sends, which) {
                    let send = &mut sends[at];
                    let mine = send.who as u32;
                    let wanted = toy.poll_place(send.who, true).map_err(|()| SendError(mine));
                    send.pulse.wakes();
                    prop_assert_eq!(send.pulse.poll(&mut send.it), wanted);
                    if wanted == Poll::Ready(Ok(())) {
                        toy.queue.push_back(mine);
                    }
                    if wanted.is_ready() {
                        sends.swap_remove(at);
                    }
                }
            }
            Step::DropSend(which) => {
                if let Some(at) = pick(&sends, which) {
                    let gone = sends.swap_remove(at);
                    toy.line.retain(|waits| *waits != gone.who);
                }
            }
            Step::NewSink => sinks.push(Actor::new(who, tx.sink())),
            Step::Reserve(which) | Step::TryReserve(which) => {
                if let Some(at) = pick(&sinks, which) {
                    let (sink, joins) = (&mut sinks[at], matches!(step, Step::Reserve(_)));
                    let has = sink.reserved;
                    let weight = Scales::weight(&(sink.who as u32));
                    let wanted = if has { Poll::Ready(Ok(())) } else { toy.poll_place(sink.who, joins) };
                    if joins {
                        sink.pulse.wakes();
                        let got = sink.it.poll_reserve(weight, &mut sink.pulse.cx());
                        prop_assert_eq!(got, wanted.map_err(|()| SendError(())));
                    } else {
                        let wanted = match wanted {
                            Poll::Ready(got) => got.map_err(|()| TrySendError::Closed(())),
                            Poll::Pending => Err(TrySendError::Full(())),
                        };
                        prop_assert_eq!(sink.it.try_reserve(weight), wanted);
                    }
                    if !has && wanted == Poll::Ready(Ok(())) {
                        toy.reserved.push(sink.who as u32);
                        sink.reserved = true;
                    }
                }
            }
            Step::Fill(which) => {
                if let Some(at) = pick(&sinks, which) {
                    let sink = &mut sinks[at];
                    let message = sink.who as u32;
                    let wanted = if sink.reserved && !toy.closed { Ok(()) } else { Err(SendError(message)) };
                    prop_assert_eq!(sink.it.fill(message), wanted);
                    if wanted.is_ok() {
                        toy.reserved.retain(|other| *other != message);
                        sink.reserved = false;
                        toy.queue.push_back(message);
                    }
                }
            }
            Step::GiveUp(which) | Step::DropSink(which) => {
                if let Some(at) = pick(&sinks, which) {
                    toy.line.retain(|waits| *waits != sinks[at].who);
                    toy.reserved.retain(|message| *message != sinks[at].who as u32);
                    sinks[at].reserved = false;
                    if matches!(step, Step::GiveUp(_)) {
                        sinks[at].it.give_up();
                    } else {
                        sinks.swap_remove(at);
                    }
                }
            }
            Step::Receive => {
                polled(&mut toy, &rx_pulse);
                let got = rx.poll_next(&mut rx_pulse.cx());
                prop_assert_eq!(got, receive(&mut toy));
            }
            Step::ReceiveBurst(most) => {
                if toy.burst.is_empty() {
                    polled(&mut toy, &rx_pulse);
                    let got = rx.poll_burst(&mut rx_pulse.cx(), most);
                    let count = toy.queue.len().min(most.max(1));
                    let wanted: Poll<Event<Vec<u32>, _>> = match (toy.words, count) {
                        (1.., _) => Poll::Ready(Event::Control(word(&mut toy))),
                        (0, 1..) => Poll::Ready(Event::Message(toy.queue.drain(..count).collect())),
                        (0, 0) if toy.closed => Poll::Ready(Event::Closed),
                        (0, 0) => Poll::Pending,
                    };
                    if let Poll::Ready(Event::Message(messages)) = &wanted {
                        toy.unsettled.extend(messages);
                    }
                    toy.parked = if wanted.is_pending() { Parked::ForAll } else { Parked::No };
                    prop_assert_eq!(got, wanted);
                }
            }
            Step::WaitForControl => {
                polled(&mut toy, &rx_pulse);
                let got = rx.poll_control(&mut rx_pulse.cx());
                let wanted = if toy.words > 0 { Poll::Ready(word(&mut toy)) } else { Poll::Pending };
                toy.parked = if wanted.is_pending() { Parked::ForControl } else { Parked::No };
                prop_assert_eq!(got, wanted);
            }
            Step::Settle(which) => {
                let some: Vec<u32> = toy.unsettled.drain(..which.index(toy.unsettled.len() + 1)).collect();
                rx.settle_weighed(some.len(), load(&some));
            }
            Step::TakeRest => {
                let mut wanted = Vec::from(std::mem::take(&mut toy.burst));
                wanted.extend(std::mem::take(&mut toy.queue));
                prop_assert_eq!(rx.take_rest(), wanted);
            }
            Step::Say => {
                prop_assert_eq!(tx.control("word"), Ok(()));
                toy.words += 1;
            }
            Step::Close | Step::Rouse => {
                let closes = matches!(step, Step::Close);
                if closes {
                    rx.close()
                } else {
                    tx.rouse()
                }
                if !(closes && toy.closed) {
                    toy.roused = true;
                    for who in &toy.line {
                        let send = sends.iter().find(|send| send.who == *who).map(|send| &send.pulse);
                        let sink = sinks.iter().find(|sink| sink.who == *who).map(|sink| &sink.pulse);
                        prop_assert!(send.or(sink).unwrap().has_woken(), "everyone is woken");
                    }
                }
                if closes && !std::mem::replace(&mut toy.closed, true) {
                    prop_assert!(toy.parked == Parked::No || rx_pulse.has_woken());
                    toy.parked = Parked::No;
                }
            }
            Step::Reopen => {
                rx.reopen();
                toy.closed = false;
            }
        }
        agree(&mut toy, &rx, &rx_pulse, sends.iter().map(|send| (send.who, &send.pulse)), &sinks)?;
    }
    Ok(())
}

fn polled(toy: &mut Toy, rx_pulse: &Pulse) {
    rx_pulse.wakes();
    toy.had_reason = false;
}

fn word(toy: &mut Toy) -> &'static str {
    toy.words -= 1;
    "word"
}

fn receive(toy: &mut Toy) -> Poll<Event<u32, &'static str>> {
    toy.parked = Parked::No;
    if toy.words > 0 {
        return Poll::Ready(Event::Control(word(toy)));
    }
    if toy.burst.is_empty() {
        std::mem::swap(&mut toy.burst, &mut toy.queue);
    }
    match toy.burst.pop_front() {
        Some(message) => {
            toy.unsettled.push(message);
            Poll::Ready(Event::Message(message))
        }
        None if toy.closed => Poll::Ready(Event::Closed),
        None => {
            toy.parked = Parked::ForAll;
            Poll::Pending
        }
    }
}

/// What holds after each step, whatever it was.
fn agree<'a>(
    toy: &mut Toy,
    rx: &Receiver<u32, &'static str, Scales>,
    rx_pulse: &Pulse,
    sends: impl Iterator<Item = (usize, &'a Pulse)>,
    sinks: &'a [Actor<SendSink<u32, &'static str, Scales>>],
) -> Result<(), TestCaseError> {
    let weighs = if toy.limit == u64::MAX { 0 } else { load(toy.inside()) };
    prop_assert_eq!((rx.held(), rx.load()), (toy.inside().count() as u64, weighs));
    prop_assert!(rx.load() <= toy.limit);
    prop_assert_eq!(rx.waiting(), toy.queue.len() + toy.burst.len());
    prop_assert_eq!(rx.waiting_load(), load(toy.queue.iter().chain(&toy.burst)));
    for (who, pulse) in sends.chain(sinks.iter().map(|sink| (sink.who, &sink.pulse))) {
        let may_enter =
            toy.line.first() == Some(&who) && toy.has_room(Scales::weight(&(who as u32))) && !toy.closed;
        let waits = toy.line.contains(&who);
        prop_assert!(!may_enter || pulse.has_woken(), "the front of the line may enter and was not told");
        prop_assert!(may_enter || !waits || toy.roused || !pulse.has_woken(), "woken for nothing");
    }
    toy.had_reason |= match toy.parked {
        Parked::No => false,
        Parked::ForControl => toy.words > 0,
        Parked::ForAll => toy.words > 0 || !toy.queue.is_empty(),
    };
    if toy.parked != Parked::No {
        let woken = rx_pulse.has_woken();
        prop_assert_eq!(woken, toy.had_reason, "the receiver is woken if it has a reason, and only then");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_mailbox_agrees_with_a_list(
        capacity in 1usize..5,
        limit in prop_oneof![LIMITS, Just(u64::MAX)],
        steps in steps(),
    ) {
        run(capacity, limit, steps)?;
    }
}
