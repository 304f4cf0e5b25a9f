//! Does an answer reach the one who asked, and nobody else, however late it comes and in whatever order?
//! (G17, G19)

use callboard::actor::{Actor, Address, AskError, Context, System};
use callboard::mailbox::Reply;
use callboard::prelude::*;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::kit::elsewhere;
use crate::every;
use crate::kit::{millis, secs};

/// Keeps questions until it is told to answer them.
#[derive(Default)]
struct Clerk {
    open: Vec<(u64, Reply<u64>)>,
}

enum Ask {
    Double(u64, Reply<u64>),
    /// Answer the questions so far, the last one first; says how many of those who asked had given up.
    AnswerAll(Reply<usize>),
}

impl Actor for Clerk {
    type Message = Ask;

    async fn handle(&mut self, message: Ask, _: &mut Context<Ask>) -> Result<(), Fault> {
        match message {
            Ask::Double(n, reply) => self.open.push((n, reply)),
            Ask::AnswerAll(reply) => {
                let answers = self.open.drain(..).rev().map(|(n, reply)| reply.send(2 * n));
                let given_up = answers.filter(|answer| answer.is_err()).count();
                let _ = reply.send(given_up);
            }
        }
        Ok(())
    }
}

fn clerk() -> Address<Ask> {
    System::start().unwrap().spawn(Clerk::default())
}

/// Begins to ask: the question is with the clerk when this returns.
fn double(clerk: &Address<Ask>, n: u64) -> BoxFuture<'static, Result<u64, AskError<Ask>>> {
    let clerk = clerk.clone();
    let mut question = async move { clerk.ask(|reply| Ask::Double(n, reply)).await }.boxed();
    assert!((&mut question).now_or_never().is_none(), "nothing is answered before it is told to");
    question
}

#[test]
fn questions_answered_in_reverse_get_each_their_own_answer() {
    every::runtime(|| async {
        let clerk = clerk();
        let mut questions = Vec::new();
        for n in 0..50 {
            questions.push(double(&clerk, n));
        }
        assert_eq!(clerk.ask(Ask::AnswerAll).await.unwrap(), 0);
        for (n, question) in (0..50).zip(questions) {
            assert_eq!(question.await.unwrap(), 2 * n);
        }
    });
}

#[test]
fn a_question_that_nobody_answers_fails_at_its_limit_and_the_late_answer_reaches_nobody() {
    every::runtime(|| async {
        let clerk = clerk();
        let rt = every::current();
        let began = rt.now();
        let late = clerk.ask_within(millis(5), |reply| Ask::Double(1, reply)).await;
        assert!(matches!(late, Err(AskError::TimedOut(None))), "it is with the clerk still");
        assert!(rt.now().since(began) >= millis(5));
        let next = double(&clerk, 21);
        assert_eq!(clerk.ask(Ask::AnswerAll).await.unwrap(), 1, "the clerk is told that one gave up");
        assert_eq!(next.await.unwrap(), 42, "the next question has its own answer");
    });
}

#[test]
fn a_question_that_is_dropped_gives_its_answer_to_nobody() {
    every::runtime(|| async {
        let clerk = clerk();
        for n in 0..20 {
            drop(double(&clerk, n));
            let next = double(&clerk, 100 + n);
            assert_eq!(clerk.ask(Ask::AnswerAll).await.unwrap(), 1);
            assert_eq!(next.await.unwrap(), 200 + 2 * n);
        }
    });
}

#[test]
fn a_question_is_asked_and_answered_from_a_runtime_that_ends() {
    every::runtime(|| async {
        let clerk = clerk();
        let there = clerk.clone();
        let (question,) = elsewhere(async move { (double(&there, 4),) }).await;
        let there = clerk.clone();
        elsewhere(async move { there.ask(Ask::AnswerAll).await.unwrap() }).await;
        assert_eq!(elsewhere(question).await.unwrap(), 8);
    });
}

#[test]
fn after_the_end_a_question_is_refused_and_one_under_way_is_told() {
    every::runtime(|| async {
        let clerk = clerk();
        let kept = double(&clerk, 1);
        assert_eq!(clerk.stop().await.unhandled, 0);
        assert!(matches!(kept.await, Err(AskError::NoReply)));
        let late = clerk.ask_within(secs(1), |reply| Ask::Double(2, reply)).await;
        assert!(matches!(late, Err(AskError::Closed(Ask::Double(2, _)))));
    });
}
