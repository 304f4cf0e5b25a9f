//! A supervisor and children that fail one at a time, while others send to them and give up: P13, P14, P16.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::stage::{Stage, millis};
use crate::actor::{Actor, Address, Context, System};
use crate::base::Fault;
use crate::mailbox::Reply;
use crate::sim::check::{Step, strategy_is_kept};
use crate::sim::cut;
use crate::supervise::{Backoff, ChildSpec, Intensity, Strategy, Supervisor};

enum Word {
    Number(u64),
    Fail,
    Panic,
    Ask(u64, Reply<u64>),
}

/// What is seen of all children, in order, and the numbers that each handled.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(Vec<Step>, Vec<u64>)>>);

impl Seen {
    fn step(&self, step: Step) {
        self.0.lock().unwrap().0.push(step);
    }
}

struct Child {
    number: usize,
    seen: Seen,
    stage: Stage,
}

impl Actor for Child {
    type Message = Word;

    async fn started(&mut self, _: &mut Context<Word>) -> Result<(), Fault> {
        self.seen.step(Step::Started(self.number));
        Ok(())
    }

    async fn handle(&mut self, word: Word, _: &mut Context<Word>) -> Result<(), Fault> {
        match word {
            Word::Number(number) => {
                self.seen.0.lock().unwrap().1.push(number);
                self.stage.a_while(millis(3)).await;
            }
            Word::Fail => return Err(Fault::new("told to")),
            Word::Panic => panic!("told to"),
            Word::Ask(number, reply) => drop(reply.send(number)),
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.seen.step(Step::Gone(self.number));
    }
}

pub(super) async fn run(stage: Stage) {
    let strategy = [Strategy::OneForOne, Strategy::RestForOne, Strategy::OneForAll][stage.below(3)];
    let children = 2 + stage.below(4);
    stage.draw(format_args!("{strategy:?} of {children}"));
    let seen = Seen::default();
    let system = System::start().unwrap();
    let mut tree = Supervisor::new(&system, strategy).intensity(Intensity::new(1000, Duration::from_secs(1)));
    let addresses: Vec<Address<Word>> = (0..children)
        .map(|number| {
            let (kept, of) = (stage.clone(), seen.clone());
            let spec = ChildSpec::new(format!("child{number}"), move || Child {
                number,
                seen: of.clone(),
                stage: kept.clone(),
            });
            let capacity = [1, 2, 16][stage.below(3)];
            tree.child(spec.backoff(Backoff::fixed(millis(2))).capacity(capacity)).unwrap()
        })
        .collect();
    let handle = tree.start().await.unwrap();
    rounds(&stage, strategy, &addresses, &seen).await;
    seen.0.lock().unwrap().0.clear();
    drop(handle.stop().await);
    let stops: Vec<Step> = (0..children).rev().map(Step::Gone).collect();
    let steps = std::mem::take(&mut seen.0.lock().unwrap().0);
    if steps != stops {
        stage.is_wrong(format_args!("P14: a stop in reverse order is {stops:?}, not {steps:?}"));
    }
}

/// One failure after the other, with messages around it.
async fn rounds(stage: &Stage, strategy: Strategy, addresses: &[Address<Word>], seen: &Seen) {
    let mut sent = 0;
    for _ in 0..3 + stage.below(5) {
        stage.sim().settle().await;
        seen.0.lock().unwrap().0.clear();
        let victim = stage.below(addresses.len());
        sent += send_some(stage, addresses, sent).await;
        let word = if stage.chance(2) { Word::Fail } else { Word::Panic };
        addresses[victim].send(word).await.unwrap();
        sent += send_some(stage, addresses, sent).await;
        let asked =
            addresses[victim].ask_within(Duration::from_secs(60), |reply| Word::Ask(sent, reply)).await;
        if asked.ok() != Some(sent) {
            stage.is_wrong("P16: a question over a restart got no answer, or another's");
        }
        stage.sim().sleep(Duration::from_secs(1)).await;
        let steps = seen.0.lock().unwrap().0.clone();
        if let Err(text) = strategy_is_kept(strategy, addresses.len(), victim, &steps) {
            stage.is_wrong(format_args!("P14: {text}"));
        }
    }
    let mut handled = seen.0.lock().unwrap().1.clone();
    handled.sort_unstable();
    if handled != (0..sent).collect::<Vec<_>>() {
        stage
            .is_wrong(format_args!("P16: of {sent} numbers that were sent, these were handled: {handled:?}"));
    }
}

/// Sends some numbers, from `next` on; a send that is given up sends nothing. Answers how many.
async fn send_some(stage: &Stage, addresses: &[Address<Word>], next: u64) -> u64 {
    let mut sent = 0;
    for _ in 0..stage.below(12) {
        let to = &addresses[stage.below(addresses.len())];
        let word = Word::Number(next + sent);
        let answer = match stage.below(3) {
            0 => cut(stage.below(3), to.send(word)).await.is_some_and(|sent| sent.is_ok()),
            1 => to.try_send(word).is_ok(),
            _ => to.send(word).await.is_ok(),
        };
        sent += u64::from(answer);
    }
    sent
}
