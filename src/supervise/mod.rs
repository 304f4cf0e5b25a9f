//! Who is restarted when something fails, when, and how often until somebody higher up has to know.
//!
//! ```text
//!                    ┌────────── supervisor ──────────┐
//!    a child is up,  │                                │   start this child, stop that one,
//!    a child ended, ─┼─▶ Plan ── strategy  who is hit  ├─▶ forget it; ready; finished;
//!    alarm, shutdown │        ── intensity how often   │   escalate ──▶ its own supervisor
//!                    │        ── backoff   how soon    │
//!                    └────────────────────────────────┘
//! ```
//!
//! # The problem
//! An actor that failed has lost its state; one that is started again has a clean one. That helps against a
//! fault that comes and goes. It does not help against one that stays: then restarting in a loop only hides
//! it and eats the machine. So a supervisor restarts with growing pauses, counts, and gives up when it counts
//! too many: it stops its children and fails itself, which its own supervisor treats like any child's
//! failure.
//!
//! # Rules
//! - Children start in the order they were added, each after the one before is up, and stop in reverse order,
//!   each after the one before is down.
//! - A child's end is a *restart* if its [`Restart`] says so. The restart is counted; over the [`Intensity`],
//!   all children are stopped and the supervisor fails. Otherwise the [`Strategy`] says which siblings go
//!   down and come up again with it, and all of them wait for that child's [`Backoff`].
//! - What has to come down is down before anything comes up. A child never has two incarnations at once.
//! - A sibling that ends by itself while it is about to be stopped belongs to the restart under way.
//! - A child that fails when the supervisor first starts it fails the supervisor; one that was added later
//!   and fails its first start is forgotten, and whoever added it is told.
//!
//! All of this is plain arithmetic and a state machine (its table is in `plan.rs`): no task, no timer, no
//! clock. The plan says "stop", and waits to hear "down"; the tasks around it do the rest.
//!
//! # Tasks
//! ```text
//!   SupervisorHandle ──add, remove, children──▶ ┌─ task of the supervisor ──┐        (a Supervisor is the
//!                    ──stop───────────────────▶ │ Plan, stop timeouts       │         description of all this)
//!                        ┌───────started, exited│                           │◀─ the same words, if it is
//!                        │                      └──┬─────────────────────┬──┘   itself a child
//!                        │     Start, Open, Rest, Close           Stop   │
//!                        │                         ▼                     ▼
//!                ┌─ task of a child ─────────────────────────────────────────┐
//!    Address ──▶ │ mailbox │ incarnation 1 │ backoff │ incarnation 2 │ ...   │ ◀── made by the factory of
//!                └───────────────────────────────────────────────────────────┘     the ChildSpec, each time
//! ```
//! - A child has one task, one mailbox and one address for all its incarnations, so no message is lost between
//!   them. The one that was being handled is: an actor's messages are at most once.
//! - Nobody here waits for anybody but in its mailbox: orders replace each other, news come on the control lane.
//! - **A stop has a manner.** When a supervisor is shut down, or a child removed, the child handles what it
//!   accepted; for a restart, and when the supervisor gives up, it ends after the message in hand. After its stop
//!   timeout it is killed, which takes effect at its next await. One that has not ended a second after that is
//!   *stuck*: reported, left behind, and never replaced while it is there; a restart that needs that fails the
//!   supervisor. A start, on the other hand, may take as long as it takes.
//! - **A stop through an address** ([`Address::stop`](crate::actor::Address::stop) and the like) ends the
//!   incarnation, and is answered then. To its supervisor that is a normal end (a kill a failure), so under
//!   [`Restart::Always`] the child is back soon, and its mailbox open. While it drains it refuses messages. To
//!   take a child down for good, [`remove`](SupervisorHandle::remove) it.
//! - A child lives though its last address is dropped: its supervisor holds one.
//! - Watchers and [`Address::ended`](crate::actor::Address::ended) hear of the end after which no restart is
//!   planned; until then a child that is down is alive to them. One that has ended well refuses messages, and is
//!   alive again if its siblings' restart brings it back.
//! - The supervisor has no state of the user's and runs no code of the user's, so it does not panic; should its
//!   runtime drop it, its children end too.
//!
//! # Events
//! All with the target `callboard::supervise` and these names: `supervisor_starting`, `supervisor_started`,
//! `supervisor_gave_up` (error), `supervisor_ended`; `child_starting`, `child_started`, `child_ended`,
//! `child_failed` (warning), `child_restarts` (with its delay), `child_killed` (warning), `child_stuck` and
//! `child_still_stuck` (errors), `mailbox_cleared` (warning).
//!
//! # Compared with Erlang/OTP's `supervisor`
//! The same:
//! - start in order, stop in reverse order; a start that fails while the supervisor starts (`init`) stops
//!   what was started and fails the supervisor, whatever that child's restart type;
//! - restart types: `permanent`, `transient` and `temporary` are [`Restart::Always`], [`Restart::OnFailure`]
//!   and [`Restart::Never`]. A normal end of the first kind is restarted and counted;
//! - `one_for_one`, `rest_for_one`, `one_for_all`. A `transient` sibling that had ended well comes back with
//!   the group; a `temporary` one is stopped and gone, and its own end restarts nobody;
//! - more than `intensity` restarts within `period` (its edge included) are too many, whatever children they
//!   were of; one failure counts once, however many siblings it restarts; a restart that fails is tried again
//!   and counted again; over it, the children are stopped in reverse order and the supervisor ends;
//! - `start_child`: added behind the others; a failed start discards the specification;
//! - `shutdown` of each child: `brutal_kill`, a time, `infinity` are a stop timeout of zero, a time, none;
//! - normal is `normal`, `shutdown`, `{shutdown, _}` there and a stop that was asked for here; all else (an
//!   error, a panic, a kill, a failed start) is a failure. Child ids are unique.
//!
//! Where it deviates, and why:
//! 1. **Restarts wait** for a backoff. Theirs come at once, so that a fault of a second uses up an intensity
//!    meant for minutes. [`Backoff::none`] gives theirs back.
//! 2. **The default intensity is 5 in 30 s**, not 1 in 5 s, to fit the backoff ([`Intensity`] has the sums),
//!    and the window is exact, where theirs counts in whole seconds.
//! 3. **Giving up is a failure.** Their supervisor exits with `shutdown`: if it is a `transient` child
//!    itself, that counts as a good end, and the whole subtree stays down. Ours fails, so that `OnFailure`
//!    brings it back.
//! 4. **A supervisor never blocks** while a child starts or stops. So a failure during a restart is acted on
//!    at once, where theirs waits in the mailbox until the whole group is up; and after the first start,
//!    children under one-for-one start side by side.
//! 5. **A child that dies during the first start comes back before later ones start**, since these may need
//!    it. Theirs starts the rest first.
//! 6. **No `ignore`.** A child with nothing to do ends normally, under [`Restart::OnFailure`]; under
//!    [`Restart::Always`] it would be restarted.
//! 7. **No child that is kept but stopped.** Theirs comes back when its siblings are restarted, to the
//!    surprise of whoever stopped it. Here it is removed, and added again when wanted.
//! 8. **No supervisor for children of one kind.** One-for-one with children added later does it, but stops
//!    them one after the other, where theirs stops all at the same time and in no order.
//! 9. **A kill takes effect at the child's next await.** Nothing can end Rust code that never yields; it is
//!    reported as stuck.
//! 10. **No automatic shutdown.** Whoever waits for the important child can stop the supervisor then, and
//!     says so in code.
//! 11. **The mailbox outlives a restart** by default; with theirs, what was queued is lost, and so is the
//!     process identifier: others have to look the child up again, and are told of its end by monitors.
//! 12. **Children added later outlive a restart of their supervisor**, in the order they had, and one that was
//!     removed stays away. Theirs begins again with the list of its module. A [`Restart::Never`] child that was
//!     up does not come back even then.
//! 13. **Killing a supervisor kills its children in order**, each with a second to end. Theirs are told by links,
//!     all at once and unsupervised.

mod backoff;
mod carry_out;
mod child;
mod child_task;
mod effect;
mod handle;
mod intensity;
mod invalid;
mod member;
mod office;
mod plan;
mod report;
mod run;
mod spec;
mod strategy;
mod supervisor;
mod words;

pub use self::backoff::Backoff;
pub use self::handle::SupervisorHandle;
pub use self::intensity::Intensity;
pub(crate) use self::intensity::{Allowance, RestartWindow};
pub use self::invalid::InvalidSetting;
pub use self::report::{
    AddError, ChildInfo, ChildState, Escalated, Reason, RemoveError, StartError, SupervisorEnded,
};
pub use self::spec::ChildSpec;
pub use self::strategy::{Restart, Strategy};
pub use self::supervisor::Supervisor;
