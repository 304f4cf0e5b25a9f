//! Consumers of a stream's groups.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FusedStream, Stream};

use super::delivery::{ServedDelivery, StreamEntry};
use super::stream::at_most;
use super::visit::Visit;
use super::{Reply, ServedError, ServedStream};
use crate::broker::{MessageId, Start};
use crate::server::resp::Request;
use crate::server::stream::{Id, Interval, Pending, once_more};
use crate::server::world::World;

/// So long a consumer waits before it asks again, where the disk is full.
const PAUSE: Duration = Duration::from_millis(200);

/// So many are yielded before others have a turn: while there are more, nothing that a consumer does need ever wait.
const TURN: usize = 256;

/// A group of a stream, to consume from; made by [`ServedStream::group`].
///
/// What `CB.GROUP` told it of dead letters counts here too: what was handed over `MAXDELIVERIES` times goes to the stream of dead letters when it would
/// be claimed once more. Of its `ACKTIMEOUT` [`claim_after`](ServedGroup::claim_after) takes the place.
#[derive(Clone, Debug)]
#[must_use = "nothing is consumed before there is a consumer"]
pub struct ServedGroup {
    stream: ServedStream,
    name: Arc<[u8]>,
    start: Start,
    claim_after: Duration,
    prefetch: usize,
}

impl ServedGroup {
    pub(super) fn new(stream: ServedStream, name: &[u8]) -> ServedGroup {
        let (start, claim_after, prefetch) = (Start::default(), Duration::from_secs(30), 16);
        ServedGroup { stream, name: name.into(), start, claim_after, prefetch }
    }

    /// Sets where the group begins, if it is not there yet. Default: [`Start::Earliest`], with all that the stream has.
    /// [`Start::Offset`] is refused: entries have ids, and no numbers.
    pub fn start(mut self, start: Start) -> ServedGroup {
        self.start = start;
        self
    }

    /// Sets for how long an entry may be in the hands of one consumer before others take it over, since that one may be gone. Default:
    /// 30 seconds. It counts from when the entry was fetched, with as many as [`prefetch`](ServedGroup::prefetch) says, so that all of
    /// these should be handled within that time; [`ServedDelivery::extend`] begins it anew. A consumer that asks for more takes over what it
    /// has had itself for so long, too: the deliveries that it had of these are [lost](ServedError::Lost). With 0 it takes over all that
    /// anybody has whenever it asks, which is for one that knows that the others are gone, and handles one entry at a time. Counted in whole
    /// milliseconds, rounded up; [`Duration::MAX`] is never.
    pub fn claim_after(mut self, time: Duration) -> ServedGroup {
        self.claim_after = time;
        self
    }

    /// Sets how many entries a consumer fetches at a time. Default: 16; 0 is 1.
    pub fn prefetch(mut self, entries: usize) -> ServedGroup {
        self.prefetch = entries.max(1);
        self
    }

    /// Adds a consumer, and the group, and the stream, if they are not there. The name is what `XINFO CONSUMERS` shows; each that is at work
    /// should have its own.
    ///
    /// # Errors
    /// [`ServedError`]: there is something else under the stream's name, the start is none, or the server has stopped.
    ///
    /// # Cancel safety
    /// Dropped, the group may be there or not.
    ///
    /// # Examples
    /// ```
    /// use callboard::server::Server;
    /// use futures::TryStreamExt as _;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder().listen("127.0.0.1:0".parse()?).serve().await?;
    /// let calls = server.stream("calls");
    /// calls.publish(&[("actor", "Hamlet")]).await?;
    /// let mut consumer = calls.group("stage").consumer("manager").await?;
    /// let call = consumer.try_next().await?.expect("it ends with the server");
    /// assert_eq!((call.field("actor"), call.attempt()), (Some(&b"Hamlet"[..]), 1));
    /// call.ack().await?;
    /// # Ok(()) }
    /// ```
    pub async fn consumer(&self, name: impl AsRef<[u8]>) -> Result<ServedConsumer, ServedError> {
        let start = match self.start {
            Start::Earliest => "0".to_owned(),
            Start::Latest => "$".to_owned(),
            Start::After(id) => id.to_string(),
            Start::UnixMillis(millis) => Id { millis, seq: 0 }.before().unwrap_or_default().to_string(),
            Start::Offset(_) => {
                return Err(ServedError::refused("ERR a stream's entries have ids, and no offsets"));
            }
        };
        let (stream, group) = (self.stream.name(), &self.name);
        let create = [b"XGROUP", b"CREATE", stream, group, start.as_bytes(), b"MKSTREAM"];
        match self.stream.ask(Request::of(create)).await {
            // It is there, and where it is by now.
            Err(ServedError::Refused { reply }) if reply.starts_with("BUSYGROUP") => {}
            done => drop(done?),
        }
        let group = self.clone();
        let seat = Arc::new(Seat { group, consumer: name.as_ref().into() });
        Ok(ServedConsumer { seat, ready: VecDeque::new(), asks: None, turn: 0, pauses: false, over: false })
    }
}

/// A consumer of a group, as a `futures` stream of deliveries: each entry comes to one consumer of the group, those of clients included. It
/// is told of new ones, and asks for nothing while there are none.
///
/// An error is yielded when it occurs. It goes on behind one that passes (the disk was full), and ends behind any other.
///
/// Dropped, what it had fetched and not yielded goes back to its group at no cost; where the disk is full, or the server has stopped, it comes
/// to others only once it is [claimed](ServedGroup::claim_after), as what is lost with a process is. While it waits it is a client without an
/// address in `CLIENT LIST`, and one of [`max_clients`](crate::server::ServerBuilder::max_clients).
pub struct ServedConsumer {
    seat: Arc<Seat>,
    /// Fetched, with the number of its attempt. Limit: `ServedGroup::prefetch`.
    ready: VecDeque<(StreamEntry, u64)>,
    asks: Option<BoxFuture<'static, Result<Fetched, ServedError>>>,
    /// So many were yielded since it waited.
    turn: usize,
    /// Asking failed.
    pauses: bool,
    over: bool,
}

/// Entries, each with the number of its attempt.
type Fetched = Vec<(StreamEntry, u64)>;

impl Stream for ServedConsumer {
    type Item = Result<ServedDelivery, ServedError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.turn >= TURN {
            this.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        while !this.over {
            while let Some((entry, attempt)) = this.ready.pop_front() {
                // Others may have claimed it since.
                if this.seat.has((entry.id(), attempt)) {
                    this.turn += 1;
                    let delivery = ServedDelivery::new(entry, attempt, this.seat.clone());
                    return Poll::Ready(Some(Ok(delivery)));
                }
            }
            let pause = std::mem::take(&mut this.pauses);
            let seat = &this.seat;
            let asks = this.asks.get_or_insert_with(|| Box::pin(fetch(seat.clone(), pause)));
            let Poll::Ready(fetched) = asks.as_mut().poll(cx) else {
                this.turn = 0;
                return Poll::Pending;
            };
            this.asks = None;
            match fetched {
                Ok(fetched) => this.ready.extend(fetched),
                Err(error) => {
                    (this.pauses, this.over) = (true, !error.passes());
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }
}

impl FusedStream for ServedConsumer {
    fn is_terminated(&self) -> bool {
        self.over
    }
}

impl Drop for ServedConsumer {
    fn drop(&mut self) {
        // First, since what it was handed comes behind what is ready.
        self.asks = None;
        let ready: Vec<(MessageId, u64)> =
            self.ready.iter().map(|(entry, attempt)| (entry.id(), *attempt)).collect();
        self.seat.let_go("SILENT", &ready);
    }
}

impl fmt::Debug for ServedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedConsumer").field("seat", &self.seat).finish_non_exhaustive()
    }
}

/// Waits for entries.
async fn fetch(seat: Arc<Seat>, pause: bool) -> Result<Fetched, ServedError> {
    if pause {
        let rt = seat.group.stream.shared().upgrade().ok_or(ServedError::Closed)?.rt().clone();
        rt.sleep_until(rt.now() + PAUSE).await;
    }
    let mut fetching = Fetching { visit: seat.visit()?, seat: &seat };
    let reply = fetching.visit.ask(seat.read()).await?;
    Ok(fetched(&reply))
}

/// A visit that may be handed entries. Dropped, it gives back what nobody heard of.
struct Fetching<'a> {
    visit: Visit,
    seat: &'a Seat,
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        let unheard = Reply::read_all(&self.visit.leave()).unwrap_or_default();
        let unheard: Vec<(MessageId, u64)> =
            unheard.iter().flat_map(fetched).map(|(entry, attempt)| (entry.id(), attempt)).collect();
        self.seat.let_go("SILENT", &unheard);
    }
}

/// What is answered to [`Seat::read`]: of one stream, entries, each with how long nobody had it, and how often it was handed over before.
fn fetched(reply: &Reply) -> Fetched {
    let entries = || reply.list()?.first()?.list()?.get(1)?.list();
    let one = |reply: &Reply| {
        let before = reply.list()?.get(3)?.number()?;
        Some((StreamEntry::read(reply)?, once_more(before)))
    };
    entries().unwrap_or_default().iter().filter_map(one).collect()
}

/// In whose name it is consumed.
pub(super) struct Seat {
    group: ServedGroup,
    consumer: Arc<[u8]>,
}

impl Seat {
    /// Of the stream and the group.
    pub(super) fn names(&self) -> (&[u8], &[u8]) {
        (self.group.stream.name(), &self.group.name)
    }

    fn read(&self) -> Request {
        let (stream, group) = self.names();
        // Why not less: a part of a millisecond is no time, after which it would claim at once what it has itself.
        let idle = self.group.claim_after.as_nanos().div_ceil(1_000_000);
        let idle = i64::try_from(idle).unwrap_or(i64::MAX).to_string();
        let most = at_most(self.group.prefetch);
        Request::of([
            &b"XREADGROUP"[..],
            b"GROUP",
            group,
            &self.consumer,
            b"COUNT",
            most.as_bytes(),
            b"BLOCK",
            b"0",
            b"CLAIM",
            idle.as_bytes(),
            b"STREAMS",
            stream,
            b">",
        ])
    }

    pub(super) fn nack(&self, how: &str, id: MessageId) -> Request {
        let ((stream, group), id) = (self.names(), id.to_string());
        Request::of([b"XNACK", stream, group, how.as_bytes(), b"IDS", b"1", id.as_bytes()])
    }

    pub(super) fn extend(&self, id: MessageId) -> Request {
        let ((stream, group), id) = (self.names(), id.to_string());
        Request::of([b"XCLAIM", stream, group, &self.consumer, b"0", id.as_bytes(), b"JUSTID"])
    }

    /// Asks, if it has this delivery still.
    pub(super) async fn ask(
        &self,
        delivery: (MessageId, u64),
        requests: impl IntoIterator<Item = Request>,
    ) -> Result<Reply, ServedError> {
        self.visit()?.ask_if(|world| self.holds(world, delivery), requests).await
    }

    pub(super) fn visit(&self) -> Result<Visit, ServedError> {
        Visit::begin(self.group.stream.shared())
    }

    /// Lets go of what it has of these. It is written with whatever is written next: nobody waits.
    pub(super) fn let_go(&self, how: &str, deliveries: &[(MessageId, u64)]) {
        // A server that has stopped has nobody to give it to.
        let Ok(mut visit) = self.visit() else { return };
        for delivery in deliveries {
            // Why unheard: what it has no more, others have.
            let _ = visit.say(|world| self.holds(world, *delivery), [self.nack(how, delivery.0)]);
        }
        // Nobody is to hear what was answered.
        visit.leave();
    }

    fn has(&self, delivery: (MessageId, u64)) -> bool {
        let shared = self.group.stream.shared().upgrade();
        shared.is_some_and(|shared| self.holds(&shared.world(), delivery))
    }

    pub(super) fn holds(&self, world: &World, (id, attempt): (MessageId, u64)) -> bool {
        let (stream, group) = self.names();
        let id = Id { millis: id.unix_millis(), seq: id.sequence() };
        let Ok(Some(stream)) = world.keys.stream(0, stream) else { return false };
        let Some(group) = stream.groups.get(group) else { return false };
        let pending = group.pending_in(Interval { from: id, to: id }, None).next();
        matches!(pending, Some((_, Pending::Held(held))) if held.consumer == self.consumer && held.count == attempt)
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let (stream, group) = self.names();
        write!(f, "{} in {} of {}", text(&self.consumer), text(group), text(stream))
    }
}
