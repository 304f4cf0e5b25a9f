//! How a consumer gets a handler, and what it does with messages while it has none.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::consumer::{ConsumerNews, ConsumerSeat, ConsumerWord, Stop, drop_quietly};
use super::handler::Handle;
use super::lease::Lease;
use crate::base::{Fault, catch};
use crate::mailbox::Event;

impl<T: Send + Sync + 'static> ConsumerSeat<T> {
    /// Makes a handler and runs its `started` hook.
    pub(super) async fn build<H: Handle<T>>(&mut self, make: &impl Fn() -> H) -> Result<H, Arc<str>> {
        self.progress.rest();
        let scope = self.scope;
        let mut handler = catch(|| scope.enter(make)).map_err(|text| text.0)?;
        match self.start(&mut handler).await {
            Ok(()) => {
                if self.away {
                    self.come_back().await;
                }
                Ok(handler)
            }
            Err(text) => {
                drop_quietly(handler);
                Err(text)
            }
        }
    }

    async fn start<H: Handle<T>>(&mut self, handler: &mut H) -> Result<(), Arc<str>> {
        let scope = self.scope;
        // Why the call is inside of the catch: a hook need not be an `async fn`.
        let future = catch(|| scope.enter(|| handler.started())).map_err(|text| text.0)?;
        let mut slot = pin!(Some(future));
        let started = std::future::poll_fn(|cx| {
            let Some(future) = slot.as_mut().as_pin_mut() else { return Poll::Pending };
            match catch(|| scope.enter(|| future.poll(cx))) {
                Err(text) => return Poll::Ready(Err(text.0)),
                Ok(Poll::Ready(started)) => {
                    return Poll::Ready(started.map_err(|fault| fault_text(&fault)));
                }
                Ok(Poll::Pending) => {}
            }
            self.step_back(ConsumerNews::Away);
            while let Poll::Ready(event) = self.mailbox.poll_next(cx) {
                self.decline(event);
                if self.stop.is_some() {
                    return Poll::Ready(Err("stopped while starting".into()));
                }
            }
            Poll::Pending
        })
        .await;
        match catch(|| scope.enter(|| slot.set(None))) {
            Ok(()) => started,
            Err(text) => Err(text.0),
        }
    }

    /// Tells the group that there is a handler, once everything that was on its way here is back.
    ///
    /// Why it waits for the group's word: what the group sent before it heard that nothing can be taken here comes
    /// after what was given back; handled now, it would overtake that (G10).
    async fn come_back(&mut self) {
        std::future::poll_fn(|cx| {
            while self.unheard && self.stop.is_none() {
                let event = std::task::ready!(self.mailbox.poll_next(cx));
                self.decline(event);
            }
            Poll::Ready(())
        })
        .await;
        for lease in self.mailbox.take_rest() {
            self.give_back_lease(lease.slot, lease.id);
        }
        self.away = false;
        self.say(ConsumerNews::Ready);
    }

    /// Waits until the group says to try again to make a handler.
    pub(super) async fn wait_broken(&mut self, text: Arc<str>) {
        (self.away, self.build) = (false, false);
        self.step_back(ConsumerNews::Broken(text));
        std::future::poll_fn(|cx| {
            while !self.build && self.stop.is_none() {
                let event = std::task::ready!(self.mailbox.poll_next(cx));
                self.decline(event);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Says why nothing can be taken here, then gives back what is not started.
    fn step_back(&mut self, why: ConsumerNews) {
        if !std::mem::replace(&mut self.away, true) {
            // Why first: what comes back must not come here again.
            self.unheard = true;
            self.say(why);
            self.report();
            self.give_back();
        }
    }

    /// What comes while there is no handler: leases were on their way.
    fn decline(&mut self, event: Event<Lease<T>, ConsumerWord>) {
        match event {
            Event::Message(lease) => {
                self.mailbox.settle(1);
                self.give_back_lease(lease.slot, lease.id);
            }
            Event::Closed => self.stop = Some(Stop::Gently),
            Event::Control(word) => self.hear(word),
        }
    }
}

fn fault_text(fault: &Fault) -> Arc<str> {
    catch(|| Arc::from(fault.to_string())).unwrap_or_else(|text| text.0)
}
