//! Are backoffs, intensities and stop timeouts obeyed, to the nanosecond of the virtual clock?

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use callboard::actor::{Actor, Address, Context, Exit, System};
use callboard::base::{Fault, Moment};
use callboard::sim::Sim;
use callboard::supervise::{
    Backoff, ChildSpec, ChildState, Intensity, Reason, RemoveError, Restart, StartError, Strategy, Supervisor,
};

use crate::every;
use crate::supervise_probe::{Stage, Tell, Unit, forever, hold, nothing, which};

const MS: Duration = Duration::from_millis(1);

fn supervisor(strategy: Strategy) -> Supervisor {
    Supervisor::new(&System::start().unwrap(), strategy)
        .name("top")
        .intensity(Intensity::new(100, Duration::from_secs(1)))
}

/// A child that notes when each of its incarnations was up, since the test began.
fn timed(stage: &Stage, name: &str, sim: &Sim) -> (ChildSpec<Unit>, Arc<Mutex<Vec<Duration>>>) {
    let ups = Arc::new(Mutex::new(Vec::new()));
    let (noted, sim) = (ups.clone(), sim.clone());
    let spec = stage.spec_with(name, move |unit| {
        let (noted, sim) = (noted.clone(), sim.clone());
        unit.started(move || {
            noted.lock().unwrap().push(sim.now().since(Moment::ZERO));
            nothing()
        })
    });
    (spec, ups)
}

/// G14
#[test]
fn a_restart_waits_for_its_backoff_which_grows_and_is_forgotten_after_a_calm_time() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let stage = Stage::new();
        let (spec, ups) = timed(&stage, "a", &sim);
        let mut tree = supervisor(Strategy::OneForOne);
        let backoff = Backoff::exponential(10 * MS, 40 * MS).reset_after(200 * MS);
        let a = tree.child(spec.backoff(backoff)).unwrap();
        let handle = tree.start().await.unwrap();
        for _ in 0..4 {
            a.send(Tell::Fail).await.unwrap();
            which(&a).await;
        }
        sim.sleep(200 * MS).await;
        a.send(Tell::Fail).await.unwrap();
        which(&a).await;
        assert_eq!(*ups.lock().unwrap(), [0, 10, 30, 70, 110, 320].map(|ms| ms * MS));
        handle.stop().await;
    });
}

/// G14
#[test]
fn siblings_wait_for_the_backoff_of_the_child_that_failed() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let stage = Stage::new();
        let (a, _) = timed(&stage, "a", &sim);
        let (b, b_ups) = timed(&stage, "b", &sim);
        let mut tree = supervisor(Strategy::RestForOne);
        let a = tree.child(a.backoff(Backoff::fixed(50 * MS))).unwrap();
        let b = tree.child(b.backoff(Backoff::none())).unwrap();
        let handle = tree.start().await.unwrap();
        a.send(Tell::Fail).await.unwrap();
        sim.settle().await;
        let states: Vec<_> = handle.children().await.iter().map(|child| child.state).collect();
        assert_eq!(states, [ChildState::Waiting, ChildState::Waiting]);
        which(&b).await;
        assert_eq!(*b_ups.lock().unwrap(), [Duration::ZERO, 50 * MS]);
        handle.stop().await;
    });
}

/// G14
#[test]
fn one_restart_too_many_stops_all_in_reverse_order_and_gives_up() {
    every::runtime(|| async {
        for strategy in [Strategy::OneForOne, Strategy::RestForOne, Strategy::OneForAll] {
            let stage = Stage::new();
            let intensity = Intensity::new(2, Duration::from_secs(3600));
            let mut tree = Supervisor::new(&System::start().unwrap(), strategy).intensity(intensity);
            let children = ["a", "b", "c"].map(|name| tree.child(stage.spec(name)).unwrap());
            let handle = tree.start().await.unwrap();
            for child in &children[..2] {
                child.send(Tell::Fail).await.unwrap();
                for child in &children {
                    which(child).await;
                }
            }
            stage.log.take();
            let open = hold(&children[2]).await;
            children[2].send(Tell::Note(1)).await.unwrap();
            children[1].send(Tell::Panic).await.unwrap();
            drop(open);
            let ended = handle.ended().await;
            let escalated = ended.escalated().unwrap();
            assert_eq!(
                (escalated.child.as_str(), escalated.reason),
                ("b", Reason::TooManyRestarts(intensity))
            );
            assert!(matches!(&escalated.exit, Exit::Panicked(text) if &**text == "panicked as told"));
            assert_eq!(escalated.supervisor, ended.name);
            let mut log = stage.log.take();
            log.retain(|line| line != "c 1");
            assert_eq!(log, ["b down", "c down", "a down"], "{strategy:?}");
            assert!(children.iter().all(|child| child.is_closed()));
            assert!(handle.children().await.is_empty());
        }
    });
}

/// G14
#[test]
fn restarts_that_lie_further_apart_than_the_span_go_on_for_ever() {
    every::seed(5, |sim| async move {
        let stage = Stage::new();
        let mut tree = Supervisor::one_for_one(&System::start().unwrap())
            .intensity(Intensity::new(1, Duration::from_secs(1)));
        let a = tree.child(stage.spec("a")).unwrap();
        let handle = tree.start().await.unwrap();
        for n in 1..=50 {
            sim.sleep(Duration::from_millis(1001)).await;
            a.send(Tell::Fail).await.unwrap();
            assert_eq!(which(&a).await, n + 1);
        }
        a.send(Tell::Fail).await.unwrap();
        a.send(Tell::Fail).await.unwrap();
        assert!(handle.ended().await.escalated().is_some());
    });
}

/// G14, G19
#[test]
fn a_child_that_does_not_stop_in_time_is_killed_and_the_others_have_their_own_time() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let stage = Stage::new();
        let mut tree = supervisor(Strategy::OneForOne);
        let a = stage.spec_with("a", |unit| unit.stopping(forever)).stop_timeout(70 * MS);
        let a = tree.child(a).unwrap();
        let b = tree.child(stage.spec("b").stop_timeout(30 * MS)).unwrap();
        let zero = stage.spec_with("c", |unit| unit.stopping(forever)).stop_timeout(Duration::ZERO);
        let c = tree.child(zero).unwrap();
        let handle = tree.start().await.unwrap();
        let _never = hold(&b).await;
        b.send(Tell::Note(1)).await.unwrap();
        let start = sim.now();
        let ended = handle.stop().await;
        assert_eq!(sim.now().since(start), 100 * MS);
        assert!(ended.stuck.is_empty() && ended.unhandled == 1, "{ended:?}");
        assert_eq!(stage.log.take()[3..], ["c down", "b down", "a down"]);
        for child in [a, b, c] {
            assert!(matches!(child.ended().await.exit, Exit::Killed));
        }
    });
}

#[test]
fn without_a_stop_timeout_a_child_has_all_the_time_it_needs() {
    every::seed(5, |sim| async move {
        let sim = sim.without_slips();
        let stage = Stage::new();
        let hours = 20 * Duration::from_secs(3600);
        let mut tree = supervisor(Strategy::OneForOne);
        let inside = sim.clone();
        let spec = stage.spec_with("a", move |unit| {
            let sim = inside.clone();
            unit.stopping(move || Box::pin(async move { sim.sleep(hours).await }))
        });
        let a = tree.child(spec.stop_timeout(None)).unwrap();
        let handle = tree.start().await.unwrap();
        handle.stop().await;
        assert_eq!(sim.now().since(Moment::ZERO), hours);
        assert!(matches!(a.ended().await.exit, Exit::Stopped));
    });
}

#[test]
fn a_sibling_that_does_not_stop_for_a_restart_is_killed_and_its_mailbox_kept() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let stage = Stage::new();
        let mut tree = supervisor(Strategy::OneForAll);
        let a = tree.child(stage.spec("a")).unwrap();
        let b = tree.child(stage.spec("b").stop_timeout(40 * MS)).unwrap();
        let handle = tree.start().await.unwrap();
        let _never = hold(&b).await;
        b.send(Tell::Note(1)).await.unwrap();
        a.send(Tell::Fail).await.unwrap();
        assert_eq!((which(&a).await, which(&b).await), (2, 2));
        assert_eq!(sim.now().since(Moment::ZERO), 40 * MS);
        handle.stop().await;
        assert_eq!(stage.log.take()[2..], ["a down", "b down", "a up", "b up", "b 1", "b down", "a down"]);
    });
}

#[test]
fn a_stop_through_an_address_is_answered_at_once_while_the_child_waits_for_its_backoff() {
    every::seed(50, |sim| async move {
        let stage = Stage::new();
        let mut tree = supervisor(Strategy::OneForOne);
        let spec = stage.spec("a").backoff(Backoff::fixed(Duration::from_secs(3600)));
        let a = tree.child(spec).unwrap();
        let handle = tree.start().await.unwrap();
        for round in 0..3 {
            let before = sim.now();
            a.send(Tell::Fail).await.unwrap();
            for n in 1..=3 {
                a.send(Tell::Note(n)).await.unwrap();
            }
            sim.settle().await;
            match round {
                0 => assert_eq!(a.stop().await.unhandled, 0),
                1 => assert!(matches!(a.kill().await.exit, Exit::Failed(_))),
                _ => assert_eq!(a.stop_now().await.len(), 3),
            }
            assert!(sim.now().since(before) < Duration::from_secs(60), "nobody waited for the backoff");
            assert!(!a.is_closed(), "another incarnation will come");
            sim.sleep(Duration::from_secs(3600)).await;
            assert_eq!(which(&a).await, round + 2);
            let notes =
                stage.log.take().iter().filter(|line| line.starts_with("a ") && line.len() == 3).count();
            assert_eq!(notes, if round == 2 { 0 } else { 3 });
            sim.settle().await;
        }
        handle.stop().await;
    });
}

/// G14
#[test]
fn shutting_down_does_not_wait_for_a_backoff_nor_for_a_start_longer_than_it_may() {
    every::seed(20, |sim| async move {
        let sim = sim.without_slips();
        let stage = Stage::new();
        let mut tree = supervisor(Strategy::OneForOne);
        let a = tree.child(stage.spec("a").backoff(Backoff::fixed(Duration::from_secs(3600)))).unwrap();
        let handle = tree.start().await.unwrap();
        let slow = stage.spec_with("b", |unit| unit.started(forever)).stop_timeout(10 * MS);
        let adding = every::spawn("adder", {
            let handle = handle.clone();
            async move { handle.add(slow).await.is_err() }
        });
        a.send(Tell::Fail).await.unwrap();
        a.send(Tell::Note(1)).await.unwrap();
        sim.settle().await;
        let ended = handle.stop().await;
        assert_eq!(sim.now().since(Moment::ZERO), 10 * MS);
        assert_eq!(ended.unhandled, 1, "what waited for the restart is counted");
        assert!(adding.await, "it was not added");
    });
}

/// Blocks its thread when it is told to, until the test lets it go.
struct Blocker {
    blocks: Option<mpsc::Receiver<()>>,
}

impl Actor for Blocker {
    type Message = mpsc::SyncSender<()>;

    async fn handle(&mut self, entered: Self::Message, _: &mut Context<Self::Message>) -> Result<(), Fault> {
        let blocks = self.blocks.take();
        let _ = entered.send(());
        // Ends when the test drops its end.
        let _ = blocks.map(|blocks| blocks.recv());
        Ok(())
    }
}

/// Answers once the blocker blocks.
///
/// Why not by a waker: a task that it wakes stays with its thread, and would be blocked with it unless another thread
/// comes by in time.
async fn block(blocker: &Address<mpsc::SyncSender<()>>) {
    let (entered, inside) = mpsc::sync_channel(1);
    blocker.send(entered).await.unwrap();
    tokio::task::spawn_blocking(move || inside.recv().unwrap()).await.unwrap();
}

/// Runs a test on threads of its own, of which children may block some. It takes real time: a kill has a second
/// to take effect.
fn on_threads(test: impl Future<Output = ()> + Send + 'static) {
    let end = every::watched(Duration::from_secs(30), || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(6).enable_all().build().unwrap();
        // Why not as a task: a worker that is about to be blocked may have it as its next one, and nobody steals that.
        runtime.block_on(test);
        runtime.shutdown_background();
    });
    assert_eq!(end, Ok(()));
}

/// G14, G19
#[test]
fn a_child_that_never_awaits_is_reported_and_holds_up_nobody() {
    on_threads(async {
        let system = System::start().unwrap();
        let mut tree = Supervisor::one_for_one(&system).name("top");
        let (release, blocks) = mpsc::sync_channel::<()>(1);
        let mut blocks = Some(blocks);
        let blocker = move || Blocker { blocks: blocks.take() };
        let spec = ChildSpec::new("blocker", blocker).stop_timeout(Duration::ZERO);
        let blocker = tree.child(spec).unwrap();
        let stage = Stage::new();
        tree.child(stage.spec("b")).unwrap();
        let handle = tree.start().await.unwrap();
        block(&blocker).await;
        let ended = handle.stop().await;
        assert_eq!(ended.stuck.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["top/blocker"]);
        assert_eq!(stage.log.take(), ["b up", "b down"]);
        assert!(blocker.is_closed());
        // Once it comes to an await, it ends.
        drop(release);
        assert!(matches!(blocker.ended().await.exit, Exit::Killed));
    });
}

/// G14
#[test]
fn nothing_is_started_beside_a_child_that_never_awaits() {
    on_threads(async {
        let system = System::start().unwrap();
        let mut below = Supervisor::one_for_all(&system)
            .name("below")
            .backoff(Backoff::none())
            .intensity(Intensity::new(100, Duration::from_secs(1)));
        let made = Arc::new(Mutex::new(0));
        let (release, blocks) = mpsc::sync_channel::<()>(1);
        let (mut blocks, count) = (Some(blocks), made.clone());
        let blocker = move || {
            *count.lock().unwrap() += 1;
            Blocker { blocks: blocks.take() }
        };
        let spec = ChildSpec::new("blocker", blocker).stop_timeout(Duration::ZERO);
        let blocker = below.child(spec).unwrap();
        let stage = Stage::new();
        let b = below.child(stage.spec("b")).unwrap();
        let mut top = Supervisor::one_for_one(&system).intensity(Intensity::new(3, Duration::from_secs(60)));
        let below = top.supervisor(below).unwrap();
        let handle = top.start().await.unwrap();
        block(&blocker).await;
        b.send(Tell::Fail).await.unwrap();
        let ended = handle.ended().await;
        let why = ended.escalated().unwrap();
        assert_eq!((why.child.as_str(), why.exit.is_failure()), ("below", true));
        assert_eq!(ended.stuck.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["below/blocker"]);
        assert_eq!(*made.lock().unwrap(), 1, "never beside the one that is stuck");
        assert!(matches!(why.reason, Reason::TooManyRestarts(_)));
        assert_eq!(below.ended().await.stuck.len(), 1);
        drop(release);
    });
}

#[test]
fn a_stuck_child_can_be_removed_and_is_said_to_be_there_still() {
    on_threads(async {
        let system = System::start().unwrap();
        let handle = Supervisor::one_for_one(&system).name("top").start().await.unwrap();
        let (release, blocks) = mpsc::sync_channel::<()>(1);
        let mut blocks = Some(blocks);
        let spec = ChildSpec::new("x", move || Blocker { blocks: blocks.take() });
        let blocker = handle.add(spec.stop_timeout(Duration::ZERO).restart(Restart::Never)).await.unwrap();
        block(&blocker).await;
        assert_eq!(handle.remove("x").await.unwrap_err(), RemoveError::Stuck);
        assert!(handle.children().await.is_empty());
        drop(release);
        assert!(matches!(blocker.ended().await.exit, Exit::Killed));
        assert!(matches!(handle.stop().await.exit, Exit::Stopped));
    });
}

#[test]
fn a_start_that_is_given_up_stops_what_it_has_started() {
    every::seed(50, |sim| async move {
        let stage = Stage::new();
        let mut tree = supervisor(Strategy::OneForOne);
        tree.child(stage.spec("a")).unwrap();
        let slow = stage.spec_with("b", |unit| unit.started(forever)).stop_timeout(10 * MS);
        tree.child(slow).unwrap();
        let handle = tree.handle();
        let start = tree.start();
        let mut start = Box::pin(start);
        assert!(futures::FutureExt::now_or_never(start.as_mut()).is_none());
        sim.settle().await;
        assert_eq!(stage.log.take(), ["a up"]);
        drop(start);
        let ended = handle.ended().await;
        assert!(matches!(ended.exit, Exit::Stopped));
        assert_eq!(stage.log.take(), ["b down", "a down"]);
    });
}

#[test]
fn a_start_that_somebody_stops_says_so() {
    every::seed(20, |sim| async move {
        let stage = Stage::new();
        let mut tree = supervisor(Strategy::OneForOne);
        let slow = stage.spec_with("b", |unit| unit.started(forever)).stop_timeout(10 * MS);
        tree.child(slow).unwrap();
        let handle = tree.handle();
        let start = every::spawn("starter", tree.start());
        sim.settle().await;
        handle.stop().await;
        assert!(matches!(start.await, Err(StartError::Stopped)));
    });
}
