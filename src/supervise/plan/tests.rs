//! Does a plan follow each rule of the state table (guarantee G14)? Children are called a, b, c in start
//! order; effects are read as text.

mod restarts;

use super::*;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
/// The backoff of every child here, unless a test says otherwise.
const PAUSE: Duration = Duration::from_millis(100);

struct Rig {
    plan: Plan,
    now: Moment,
}

impl Rig {
    fn new(strategy: Strategy, children: &[Restart]) -> Rig {
        let mut plan = Plan::new(strategy, Intensity::new(3, Duration::from_secs(5)));
        for restart in children {
            plan.add(*restart, Backoff::fixed(PAUSE)).unwrap();
        }
        Rig { plan, now: Moment::ZERO + Duration::from_secs(1) }
    }

    /// A supervisor whose children are all up.
    fn running(strategy: Strategy, children: &[Restart]) -> Rig {
        let mut rig = Rig::new(strategy, children);
        let mut effects = rig.start();
        for name in ('a'..).take(children.len()) {
            assert_eq!(effects, format!("start {name}"));
            effects = rig.up(name);
        }
        assert_eq!(effects, "ready");
        rig
    }

    fn start(&mut self) -> String {
        text(&self.plan.on_start(self.now))
    }
    fn up(&mut self, name: char) -> String {
        text(&self.plan.on_started(id(name), self.now))
    }
    fn fails(&mut self, name: char) -> String {
        text(&self.plan.on_exit(id(name), End::Failed, self.now, 0))
    }
    fn ends(&mut self, name: char) -> String {
        text(&self.plan.on_exit(id(name), End::Normal, self.now, 0))
    }
    fn stuck(&mut self, name: char) -> String {
        text(&self.plan.on_stuck(id(name), self.now))
    }
    fn renew(&mut self) -> String {
        text(&self.plan.renew())
    }
    fn after(&mut self, wait: Duration) -> String {
        self.now = self.now + wait;
        text(&self.plan.on_alarm(self.now))
    }
    fn remove(&mut self, name: char) -> String {
        text(&self.plan.on_remove(id(name), self.now))
    }
    fn shutdown(&mut self) -> String {
        text(&self.plan.on_shutdown(self.now))
    }
    fn add(&mut self, restart: Restart) -> String {
        assert!(self.plan.add(restart, Backoff::fixed(PAUSE)).is_some());
        self.after(Duration::ZERO)
    }
    /// How long until the next alarm.
    fn alarm(&self) -> Option<Duration> {
        self.plan.next_alarm().map(|due| due.since(self.now))
    }
}

fn id(name: char) -> ChildId {
    ChildId(u64::from(u32::from(name) - u32::from('a')))
}

fn text(effects: &[Effect]) -> String {
    let name = |id: &ChildId| char::from(b'a' + u8::try_from(id.0).unwrap());
    let one = |effect: &Effect| match effect {
        Effect::Start(id) => format!("start {}", name(id)),
        Effect::Stop(id) => format!("stop {}", name(id)),
        Effect::Forget(id) => format!("forget {}", name(id)),
        Effect::Ready => "ready".to_owned(),
        Effect::Finished => "finished".to_owned(),
        Effect::Escalate(Escalation::TooManyRestarts(id)) => format!("escalate: restarts of {}", name(id)),
        Effect::Escalate(Escalation::StartFailed(id)) => format!("escalate: start of {}", name(id)),
        Effect::Escalate(Escalation::Stuck(id)) => format!("escalate: {} is stuck", name(id)),
    };
    effects.iter().map(one).collect::<Vec<String>>().join(", ")
}

use Restart::{Always, Never, OnFailure};
use Strategy::{OneForAll, OneForOne, RestForOne};

#[test]
fn children_start_in_order_each_after_the_one_before_is_up() {
    for strategy in [OneForOne, RestForOne, OneForAll] {
        Rig::running(strategy, &[Always, OnFailure, Never]);
    }
    assert_eq!(Rig::new(OneForOne, &[]).start(), "ready", "no child is fine");
}

#[test]
fn shutdown_stops_one_at_a_time_in_reverse_order() {
    for strategy in [OneForOne, RestForOne, OneForAll] {
        let mut rig = Rig::running(strategy, &[Always, OnFailure, Never]);
        assert_eq!(rig.shutdown(), "stop c");
        assert_eq!(rig.shutdown(), "", "a second shutdown changes nothing");
        assert_eq!(rig.ends('c'), "stop b");
        assert_eq!(rig.fails('b'), "stop a", "how a stopped child ends is no matter");
        assert_eq!(rig.ends('a'), "finished");
        assert_eq!(rig.after(PAUSE), "", "nothing follows");
        assert_eq!(rig.plan.add(Always, Backoff::none()), None);
    }
}

#[test]
fn shutdown_ends_a_start_and_forgets_a_backoff() {
    let mut rig = Rig::new(OneForOne, &[Always, Always]);
    assert_eq!(rig.start(), "start a");
    assert_eq!(rig.shutdown(), "stop a");
    assert_eq!(rig.up('a'), "", "too late: it was told to stop");
    assert_eq!(rig.ends('a'), "finished", "b was never started");

    let mut rig = Rig::running(OneForOne, &[Always]);
    assert_eq!(rig.fails('a'), "");
    assert_eq!(rig.shutdown(), "finished");
    assert_eq!(rig.alarm(), None);

    assert_eq!(Rig::new(OneForOne, &[Always]).shutdown(), "finished", "before the start");
}

#[test]
fn a_first_start_that_fails_stops_what_was_started_and_escalates() {
    for restart in [Always, OnFailure, Never] {
        let mut rig = Rig::new(OneForOne, &[Always, Always, restart]);
        assert_eq!(
            (rig.start(), rig.up('a'), rig.up('b')),
            ("start a".into(), "start b".into(), "start c".into())
        );
        assert_eq!(rig.fails('c'), "stop b");
        assert_eq!(rig.ends('b'), "stop a");
        assert_eq!(rig.shutdown(), "", "it is ending already");
        assert_eq!(rig.ends('a'), "escalate: start of c");
    }
}

#[test]
fn a_child_that_ends_well_at_once_has_started() {
    let mut rig = Rig::new(OneForOne, &[OnFailure, Always]);
    assert_eq!(rig.start(), "start a");
    assert_eq!(rig.ends('a'), "start b");
    assert_eq!(rig.ends('b'), "", "and this one wants to run");
    assert_eq!(rig.after(PAUSE), "start b");
    assert_eq!(rig.fails('b'), "", "not its first start, so it is tried again");
    assert_eq!(rig.after(PAUSE), "start b");
    assert_eq!(rig.up('b'), "ready");
}

#[test]
fn during_the_first_start_a_later_child_waits_for_an_earlier_one_to_come_back() {
    let mut rig = Rig::new(OneForOne, &[Always, Always, Always]);
    assert_eq!((rig.start(), rig.up('a')), ("start a".into(), "start b".into()));
    assert_eq!(rig.fails('a'), "");
    assert_eq!(rig.up('b'), "", "c needs a");
    assert_eq!(rig.after(PAUSE), "start a");
    assert_eq!((rig.up('a'), rig.up('c')), ("start c".into(), "ready".into()));
}

#[test]
fn a_child_added_later_starts_at_once_and_its_failed_first_start_is_nobody_elses_matter() {
    for strategy in [OneForOne, RestForOne, OneForAll] {
        let mut rig = Rig::running(strategy, &[Always]);
        assert_eq!(rig.add(Always), "start b");
        assert_eq!(rig.fails('b'), "forget b");
        assert_eq!(rig.add(Always), "start c");
        assert_eq!(rig.up('c'), "", "ready is said once");
        let siblings = if strategy == OneForAll { "stop a" } else { "" };
        assert_eq!(rig.fails('c'), siblings, "from here on it is a child like the others");
        assert_eq!(rig.after(PAUSE), if siblings.is_empty() { "start c" } else { "" });
    }
}

#[test]
fn a_child_added_during_a_restart_waits_for_its_turn() {
    let mut rig = Rig::running(OneForAll, &[Always, Always]);
    assert_eq!(rig.fails('a'), "stop b");
    assert_eq!(rig.add(Always), "");
    assert_eq!(rig.ends('b'), "");
    assert_eq!(rig.after(PAUSE), "start a");
    assert_eq!((rig.up('a'), rig.up('b')), ("start b".into(), "start c".into()));
}

#[test]
fn a_removed_child_is_stopped_and_forgotten_and_its_siblings_stay() {
    let mut rig = Rig::running(OneForAll, &[Always, Always, Always]);
    assert_eq!(rig.remove('b'), "stop b");
    assert_eq!(rig.remove('b'), "");
    assert_eq!(rig.fails('b'), "forget b");
    assert_eq!(rig.remove('b'), "", "unknown by now");
    assert_eq!(rig.fails('c'), "stop a");
    assert_eq!(rig.remove('c'), "forget c", "it was down");
    assert_eq!(rig.remove('a'), "");
    assert_eq!(rig.ends('a'), "forget a");
    assert_eq!(rig.after(PAUSE), "");
    assert_eq!(rig.shutdown(), "finished");
}

#[test]
fn a_removed_child_that_is_about_to_be_stopped_is_stopped_in_its_turn() {
    let mut rig = Rig::running(OneForAll, &[Always, Always, Always]);
    assert_eq!(rig.fails('a'), "stop c");
    assert_eq!(rig.remove('b'), "");
    assert_eq!(rig.ends('c'), "stop b");
    assert_eq!(rig.ends('b'), "forget b");
    assert_eq!(rig.after(PAUSE), "start a");
    assert_eq!(rig.up('a'), "start c");
}

#[test]
fn removing_the_child_that_a_start_waits_for_lets_the_start_go_on() {
    let mut rig = Rig::new(OneForOne, &[Always, Always, Always]);
    assert_eq!((rig.start(), rig.remove('a')), ("start a".into(), "stop a, start b".into()));
    assert_eq!((rig.up('b'), rig.remove('c')), ("start c".into(), "stop c, ready".into()));
}

#[test]
fn a_group_restart_waits_for_a_removed_child_to_be_down() {
    let mut rig = Rig::running(OneForAll, &[Always, Always]);
    assert_eq!(rig.remove('b'), "stop b");
    assert_eq!(rig.fails('a'), "");
    assert_eq!(rig.after(PAUSE), "");
    assert_eq!(rig.ends('b'), "forget b, start a");
}

#[test]
fn events_that_do_not_fit_change_nothing() {
    let mut rig = Rig::new(OneForOne, &[Always, Always]);
    assert_eq!((rig.up('a'), rig.fails('a'), rig.after(MS)), (String::new(), String::new(), String::new()));
    assert_eq!(rig.start(), "start a");
    assert_eq!((rig.start(), rig.up('b'), rig.fails('b')), (String::new(), String::new(), String::new()));
    assert_eq!((rig.up('z'), rig.ends('z'), rig.remove('z')), (String::new(), String::new(), String::new()));
    assert_eq!((rig.up('a'), rig.up('a')), ("start b".into(), String::new()));
    assert_eq!((rig.up('b'), rig.start()), ("ready".into(), String::new()), "it has started already");

    let mut rig = Rig::new(OneForOne, &[Always]);
    assert_eq!((rig.shutdown(), rig.start()), ("finished".into(), String::new()), "it has ended already");
}

#[test]
fn a_stuck_child_is_never_restarted_and_ends_its_supervisor() {
    let mut rig = Rig::running(OneForAll, &[Always, Always, Always]);
    assert_eq!(rig.fails('a'), "stop c");
    assert_eq!(rig.stuck('b'), "", "it was not told to stop");
    assert_eq!(rig.stuck('c'), "stop b");
    assert_eq!(rig.ends('b'), "escalate: c is stuck");
    assert_eq!(rig.ends('c'), "", "it comes too late");
}

#[test]
fn a_stuck_child_does_not_hold_up_a_shutdown_nor_its_own_removal() {
    let mut rig = Rig::running(OneForOne, &[Always, Always, Always]);
    assert_eq!(rig.remove('b'), "stop b");
    assert_eq!(rig.stuck('b'), "forget b");
    assert_eq!(rig.shutdown(), "stop c");
    assert_eq!(rig.stuck('c'), "stop a");
    assert_eq!(rig.stuck('a'), "finished");
}

#[test]
fn a_plan_that_has_ended_can_begin_again_with_the_same_children() {
    let mut rig = Rig::running(OneForOne, &[Always, OnFailure, Never]);
    assert_eq!(rig.renew(), "", "not while it runs");
    for _ in 0..3 {
        assert_eq!(rig.fails('a'), "");
        assert_eq!(rig.after(PAUSE), "start a");
        assert_eq!(rig.up('a'), "");
    }
    assert_eq!(rig.ends('b'), "");
    assert_eq!(rig.fails('a'), "stop c");
    assert_eq!(rig.ends('c'), "escalate: restarts of a");
    assert_eq!(rig.renew(), "forget c", "it must never be restarted");
    assert_eq!(rig.start(), "start a");
    assert_eq!(rig.up('a'), "start b", "though it had ended well");
    assert_eq!(rig.up('b'), "ready");
    assert_eq!(rig.fails('a'), "", "nothing was counted yet");
    assert_eq!(rig.alarm(), Some(PAUSE));
}

#[test]
fn a_child_that_was_never_up_is_started_by_the_next_life_of_its_plan() {
    let mut rig = Rig::new(OneForOne, &[Always, Never]);
    assert_eq!(rig.start(), "start a");
    assert_eq!(rig.fails('a'), "escalate: start of a");
    assert_eq!(rig.renew(), "");
    assert_eq!(rig.start(), "start a");
    assert_eq!(rig.up('a'), "start b");
}
