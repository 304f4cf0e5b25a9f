//! What a supervisor is before, while and after its task runs.

use std::sync::Arc;

use futures::channel::oneshot;

use super::SupervisorEnded;
use super::words::{Boss, Event, Request};
use crate::actor::{Exit, Life, System, Until};
use crate::base::Name;
use crate::mailbox::{Receiver, Sender, mailbox};

/// How many requests of handles wait before those who make more wait themselves.
const REQUESTS: usize = 16;

/// A supervisor's mailbox and the word on how it ended, which is told when this is dropped.
pub(super) struct Office {
    pub(super) system: System,
    pub(super) mailbox: Receiver<Request, Event>,
    /// Why kept: the mailbox stays open when the last handle is dropped.
    pub(super) to: Sender<Request, Event>,
    pub(super) life: Arc<Life<SupervisorEnded>>,
    /// What is told in the end. `Killed` unless told otherwise: the runtime dropped it.
    pub(super) ended: SupervisorEnded,
}

impl Office {
    pub(super) fn new(system: &System, name: Name) -> Office {
        let (to, mailbox) = mailbox(REQUESTS, ());
        let ended = SupervisorEnded { name, exit: Exit::Killed, stuck: Vec::new(), unhandled: 0 };
        Office { system: system.clone(), mailbox, to, life: Arc::default(), ended }
    }

    pub(super) fn name(&self) -> &Name {
        &self.ended.name
    }

    pub(super) fn boss(&self) -> Boss {
        Boss(self.to.downgrade())
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.life.end(self.ended.clone());
    }
}

/// Waits for an end of a supervisor.
pub(super) fn ending(
    life: &Life<SupervisorEnded>,
    until: Until,
) -> impl Future<Output = Option<SupervisorEnded>> + Send + use<> {
    let (tell, told) = oneshot::channel();
    life.watch(until, Box::new(tell));
    async move { told.await.ok() }
}
