//! An address narrowed to one kind of message.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::Address;
use crate::mailbox::{SendError, TrySendError};

/// Sends one kind of message to an actor that understands more, or others; made by [`Address::recipient`].
///
/// It hides the actor's own message type, so that recipients of different actors fit in one list. It is a strong
/// address. Each send takes a box.
///
/// # Examples
/// ```
/// use callboard::actor::Recipient;
/// use callboard::prelude::*;
///
/// #[derive(Clone, Copy)]
/// struct Alarm;
///
/// struct Guard;
///
/// enum Duty {
///     Sleep,
///     Wake(Alarm),
/// }
///
/// impl From<Alarm> for Duty {
///     fn from(alarm: Alarm) -> Duty {
///         Duty::Wake(alarm)
///     }
/// }
///
/// impl Actor for Guard {
///     type Message = Duty;
///     async fn handle(&mut self, duty: Duty, context: &mut Context<Duty>) -> Result<(), Fault> {
///         match duty {
///             Duty::Sleep => {}
///             Duty::Wake(Alarm) => context.stop(),
///         }
///         Ok(())
///     }
/// }
///
/// struct Siren;
///
/// impl Actor for Siren {
///     type Message = Alarm;
///     async fn handle(&mut self, _: Alarm, context: &mut Context<Alarm>) -> Result<(), Fault> {
///         context.stop();
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let system = System::start()?;
/// let (guard, siren) = (system.spawn(Guard), system.spawn(Siren));
/// guard.send(Duty::Sleep).await?;
/// let all: [Recipient<Alarm>; 2] = [guard.recipient(), siren.recipient()];
/// for recipient in &all {
///     recipient.send(Alarm).await?;
/// }
/// guard.ended().await;
/// siren.ended().await;
/// # Ok(()) }
/// ```
pub struct Recipient<N> {
    to: Arc<dyn Receive<N>>,
}

type Sending<'a, N> = Pin<Box<dyn Future<Output = Result<(), SendError<Option<N>>>> + Send + 'a>>;

trait Receive<N>: Send + Sync {
    fn send(&self, message: N) -> Sending<'_, N>;
    fn try_send(&self, message: N) -> Result<(), TrySendError<Option<N>>>;
    fn name(&self) -> &str;
}

impl<N: Send + 'static> Recipient<N> {
    pub(super) fn new<M: From<N> + Send + 'static>(address: Address<M>) -> Recipient<N> {
        Recipient { to: Arc::new(address) }
    }

    /// Sends `message`, waiting in line while the mailbox is full.
    ///
    /// # Errors
    /// [`SendError`] if the actor has ended or is stopping. It gives the message back, unless the actor closed in
    /// the instant between finding a place and taking it: by then the message had been converted.
    ///
    /// # Cancel safety
    /// As [`Address::send`].
    pub async fn send(&self, message: N) -> Result<(), SendError<Option<N>>> {
        self.to.send(message).await
    }

    /// Sends `message` if there is room and nobody waits for it.
    ///
    /// # Errors
    /// As [`Recipient::send`], and `Full`.
    pub fn try_send(&self, message: N) -> Result<(), TrySendError<Option<N>>> {
        self.to.try_send(message)
    }
}

impl<M: From<N> + Send + 'static, N: Send + 'static> Receive<N> for Address<M> {
    fn send(&self, message: N) -> Sending<'_, N> {
        Box::pin(async move {
            // Why a place first: the message is converted only when it is sure to get in.
            let mut sink = self.sender().sink();
            match std::future::poll_fn(|cx| sink.poll_reserve(0, cx)).await {
                Ok(()) => sink.fill(M::from(message)).map_err(|_| SendError(None)),
                Err(SendError(())) => Err(SendError(Some(message))),
            }
        })
    }

    fn try_send(&self, message: N) -> Result<(), TrySendError<Option<N>>> {
        let mut sink = self.sender().sink();
        match sink.try_reserve(0) {
            Ok(()) => sink.fill(M::from(message)).map_err(|_| TrySendError::Closed(None)),
            Err(TrySendError::Full(())) => Err(TrySendError::Full(Some(message))),
            Err(TrySendError::Closed(())) => Err(TrySendError::Closed(Some(message))),
        }
    }

    fn name(&self) -> &str {
        Address::name(self).as_str()
    }
}

impl<N> Clone for Recipient<N> {
    fn clone(&self) -> Recipient<N> {
        Recipient { to: self.to.clone() }
    }
}

impl<N> fmt::Debug for Recipient<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.to.name())
    }
}
