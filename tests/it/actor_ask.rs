//! Does each question end: in an answer, or in an error that says whether it was enqueued?

use std::time::Duration;

use callboard::actor::{Address, AskError, Context, System};
use callboard::base::Moment;
use callboard::mailbox::{NoReply, reply};
use futures::FutureExt as _;

use crate::actor_probe::{Do, Log, Probe, caught_up, hold, poll_once};
use crate::every;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_question_is_answered() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn();
        assert_eq!(probe.ask(|reply| Do::Echo(5, reply)).await.unwrap(), 5);
        assert_eq!(probe.ask_within(Duration::MAX, |reply| Do::Echo(6, reply)).await.unwrap(), 6);
    });
}

#[test]
fn a_question_to_an_actor_that_stops_comes_back() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn();
        let open = hold(&probe).await;
        drop(probe.stop());
        for round in 0..2 {
            let error = probe.ask(|reply| Do::Echo(5, reply)).await.unwrap_err();
            assert!(matches!(error, AskError::Closed(Do::Echo(5, _))), "{round}: {error:?}");
            assert!(!error.was_enqueued());
            let error = probe.ask_within(SECOND, |reply| Do::Echo(5, reply)).await.unwrap_err();
            assert!(matches!(error.into_question(), Some(Do::Echo(5, _))));
            // The second round: after its end.
            probe.kill().await;
        }
        drop(open);
    });
}

#[test]
fn a_question_that_was_accepted_and_not_answered_says_so_at_once() {
    every::runtime(|| async {
        // Dropped by the handler's end, with the state, by a kill.
        let probe = Probe::new(&Log::default()).spawn();
        let error = probe.ask::<()>(|reply| Do::Carry(Box::new(reply))).await.unwrap_err();
        assert!(matches!(error, AskError::NoReply) && error.was_enqueued());

        let mut kept = Box::pin(probe.ask(Do::Keep));
        assert!(poll_once(&mut kept).await.is_none());
        let open = hold(&probe).await;
        let mut queued = Box::pin(probe.ask(|reply| Do::Echo(1, reply)));
        assert!(poll_once(&mut queued).await.is_none());
        probe.kill().await;
        assert!(matches!(kept.await, Err(AskError::NoReply)));
        assert!(matches!(queued.await, Err(AskError::NoReply)));
        drop(open);
    });
}

#[test]
fn whoever_takes_back_a_question_can_answer_it() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn();
        let open = hold(&probe).await;
        let mut asked = Box::pin(probe.ask(|reply| Do::Echo(1, reply)));
        assert!(poll_once(&mut asked).await.is_none());
        let rest = probe.stop_now();
        drop(open);
        for message in rest.await {
            if let Do::Echo(n, reply) = message {
                reply.send(n + 1).unwrap();
            }
        }
        assert_eq!(asked.await.unwrap(), 2);
    });
}

/// G17
#[test]
fn a_limit_ends_a_wait_for_room_and_gives_the_question_back() {
    every::seed(50, |sim| async move {
        let sim = sim.without_slips();
        let probe = Probe::new(&Log::default()).spawn_with(1);
        let _open = hold(&probe).await;
        let before = sim.now();
        let error = probe.ask_within(SECOND, |reply| Do::Echo(9, reply)).await.unwrap_err();
        assert_eq!(sim.now().since(before), SECOND);
        assert!(matches!(&error, AskError::TimedOut(Some(Do::Echo(9, _)))), "{error:?}");
        assert!(!error.was_enqueued());
        // It has left the line: the next in it gets the place.
        assert_eq!(probe.queued(), 1);
    });
}

/// G17
#[test]
fn a_limit_ends_a_wait_for_the_answer_and_says_that_the_question_is_under_way() {
    every::seed(50, |sim| async move {
        let sim = sim.without_slips();
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        let open = hold(&probe).await;
        let before = sim.now();
        let error = probe.ask_within(SECOND, |reply| Do::Echo(9, reply)).await.unwrap_err();
        assert_eq!(sim.now().since(before), SECOND);
        assert!(matches!(error, AskError::TimedOut(None)) && error.was_enqueued());
        drop(open);
        caught_up(&probe).await;
    });
}

/// G17
#[test]
fn one_limit_covers_the_wait_for_room_and_the_wait_for_the_answer() {
    every::seed(50, |sim| async move {
        let sim = sim.without_slips();
        let probe = Probe::new(&Log::default()).spawn_with(1);
        let open = hold(&probe).await;
        let before = sim.now();
        // Room comes after 600 ms, the answer never.
        let gate = sim.sleep(Duration::from_millis(600));
        sim.spawn("opener", async move {
            gate.await;
            drop(open);
        });
        let error = probe.ask_within(SECOND, Do::Keep).await.unwrap_err();
        assert!(matches!(error, AskError::TimedOut(None)));
        assert_eq!(sim.now().since(before), SECOND);
    });
}

#[test]
fn a_limit_of_zero_asks_only_who_answers_at_once() {
    every::runtime(|| async {
        let probe = Probe::new(&Log::default()).spawn_with(1);
        let open = hold(&probe).await;
        let error = probe.ask_within(Duration::ZERO, |reply| Do::Echo(9, reply)).await.unwrap_err();
        assert!(matches!(error, AskError::TimedOut(Some(_))));
        drop(open);
    });
}

/// G17
#[test]
fn an_actor_that_asks_itself_gets_the_question_back() {
    every::runtime(|| async {
        let log = Log::default();
        let probe = Probe::new(&log).spawn();
        for within in [false, true] {
            let log = log.clone();
            let run = move |context: &mut Context<Do>| {
                let own = context.address().unwrap();
                async move {
                    let make = |reply| Do::Echo(3, reply);
                    let result =
                        if within { own.ask_within(SECOND, make).await } else { own.ask(make).await };
                    let error = result.unwrap_err();
                    assert!(!error.was_enqueued());
                    log.add(&error);
                    assert!(matches!(error, AskError::Itself(Do::Echo(3, _))));
                }
                .boxed()
            };
            probe.send(Do::Run(Box::new(run))).await.unwrap();
            caught_up(&probe).await;
        }
        let said = "the question was not enqueued: an actor can't ask itself in its own handler";
        log.is(["started", said, said]);
    });
}

#[test]
fn an_actor_may_ask_another_and_have_a_task_ask_it() {
    every::runtime(|| async {
        let system = System::start().unwrap();
        let (one, two) = (Probe::new(&Log::default()), Probe::new(&Log::default()));
        let (one, two) = (system.spawn(one), system.spawn(two));
        let (answered, answer) = futures::channel::oneshot::channel();
        let run = move |context: &mut Context<Do>| {
            let own = context.address().unwrap();
            async move {
                // While this handler waits, the other actor's runs, perhaps on this very thread.
                assert_eq!(two.ask(|reply| Do::Echo(8, reply)).await.unwrap(), 8);
                let task = async move { answered.send(own.ask(|reply| Do::Echo(4, reply)).await).unwrap() };
                drop(every::spawn("asker", task));
            }
            .boxed()
        };
        one.send(Do::Run(Box::new(run))).await.unwrap();
        assert_eq!(answer.await.unwrap().unwrap(), 4);
    });
}

/// G17
#[test]
fn actors_that_ask_each_other_are_freed_by_their_limits() {
    every::seed(50, |_| async {
        let system = System::start().unwrap();
        let log = Log::default();
        let (one, two) = (system.spawn(Probe::new(&log)), system.spawn(Probe::new(&log)));
        let ask = |other: &Address<Do>, limit| {
            let (other, log) = (other.clone(), log.clone());
            move |_: &mut Context<Do>| {
                async move {
                    match other.ask_within(limit, |reply| Do::Echo(1, reply)).await {
                        Ok(_) => log.add("answered"),
                        Err(error) => log.add(error),
                    }
                }
                .boxed()
            }
        };
        one.send(Do::Run(Box::new(ask(&two, SECOND)))).await.unwrap();
        two.send(Do::Run(Box::new(ask(&one, 2 * SECOND)))).await.unwrap();
        caught_up(&one).await;
        caught_up(&two).await;
        assert!(log.lines().contains(&"answered".to_owned()), "{:?}", log.lines());
    });
}

#[test]
fn the_one_who_answers_knows_whether_anybody_waits() {
    every::runtime(|| async {
        let (port, answer) = reply::<u32>();
        assert!(!port.is_abandoned());
        drop(answer);
        assert!(port.is_abandoned());
        assert_eq!(port.send(1), Err(1));
        let (port, answer) = reply::<u32>();
        drop(port);
        assert_eq!(answer.await, Err(NoReply));
    });
}

#[test]
fn time_starts_at_the_call() {
    every::seed(1, |sim| async move {
        assert_eq!(sim.now(), Moment::ZERO);
        let probe = Probe::new(&Log::default()).spawn();
        let _open = hold(&probe).await;
        let asked = probe.ask_within(SECOND, |reply| Do::Echo(1, reply));
        sim.sleep(2 * SECOND).await;
        assert!(matches!(asked.await, Err(AskError::TimedOut(_))));
    });
}
