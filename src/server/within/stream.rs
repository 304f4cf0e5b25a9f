//! A stream, from within the process.

use std::fmt;
use std::sync::{Arc, Weak};

use super::delivery::{StreamEntry, entry_id};
use super::visit::Visit;
use super::{Reply, ServedError, ServedGroup};
use crate::broker::MessageId;
use crate::server::resp::Request;
use crate::server::serving::Shared;

/// Names a stream of a server that runs in this process; made by [`Serving::stream`](crate::server::Serving::stream).
///
/// It is what clients see under the same key of database 0. It need not be there: publishing, and consuming, make it. A handle
/// keeps nothing open, and is cheap to clone.
#[derive(Clone)]
pub struct ServedStream {
    shared: Weak<Shared>,
    name: Arc<[u8]>,
}

impl ServedStream {
    pub(in crate::server) fn new(shared: Weak<Shared>, name: &[u8]) -> ServedStream {
        ServedStream { shared, name: name.into() }
    }

    /// Returns its name: the key.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub(super) fn shared(&self) -> &Weak<Shared> {
        &self.shared
    }

    /// Adds an entry, as `XADD .. *` does: fields and values, in this order, of which there may be several with one name. Answers its id
    /// once it is as safe as a client's would be that is answered: with a data directory and [`Fsync::Always`] it is on the disk.
    ///
    /// For all that `XADD` can do besides (ids of your own, `MAXLEN`) see [`Serving::command`](crate::server::Serving::command).
    ///
    /// # Errors
    /// [`ServedError::Unknown`]: it may be in the stream. Any other: it is not, whatever happens. Fields are borrowed, so that they are still
    /// yours.
    ///
    /// # Cancel safety
    /// Dropped before it was polled nothing happened; after that the entry may be there or not.
    ///
    /// # Examples
    /// ```
    /// use callboard::server::Server;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder().listen("127.0.0.1:0".parse()?).serve().await?;
    /// let props = server.stream("props");
    /// let id = props.publish(&[("item", "skull"), ("for", "act V")]).await?;
    /// let entries = props.browse(None, 10).await?;
    /// assert_eq!((entries[0].id(), entries[0].field("item")), (id, Some(&b"skull"[..])));
    /// # Ok(()) }
    /// ```
    ///
    /// [`Fsync::Always`]: crate::server::Fsync::Always
    pub async fn publish<F, V>(&self, fields: &[(F, V)]) -> Result<MessageId, ServedError>
    where
        F: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        if fields.is_empty() {
            return Err(ServedError::refused("ERR an entry has at least one field"));
        }
        let fields = fields.iter().flat_map(|(field, value)| [field.as_ref(), value.as_ref()]);
        let request = Request::of([&b"XADD"[..], &self.name, b"*"].into_iter().chain(fields));
        let reply = self.ask(request).await?;
        entry_id(&reply).ok_or_else(|| ServedError::refused("ERR callboard bug: an entry without an id"))
    }

    /// Reads entries without a group: at most so many, behind this id, or from the first on.
    ///
    /// # Errors
    /// [`ServedError`]: there is something else under this name, or the server has stopped.
    ///
    /// # Cancel safety
    /// Dropped at any time, nothing was changed.
    pub async fn browse(
        &self,
        behind: Option<MessageId>,
        most: usize,
    ) -> Result<Vec<StreamEntry>, ServedError> {
        let from = behind.map_or("-".to_owned(), |id| format!("({id}"));
        let most = at_most(most);
        let request = Request::of([b"XRANGE", &*self.name, from.as_bytes(), b"+", b"COUNT", most.as_bytes()]);
        let reply = self.ask(request).await?;
        Ok(reply.list().unwrap_or_default().iter().filter_map(StreamEntry::read).collect())
    }

    /// Names one of its groups, to consume from: the same that clients see.
    pub fn group(&self, name: impl AsRef<[u8]>) -> ServedGroup {
        ServedGroup::new(self.clone(), name.as_ref())
    }

    pub(super) async fn ask(&self, request: Request) -> Result<Reply, ServedError> {
        Visit::begin(&self.shared)?.ask(request).await
    }
}

/// So many, as commands are told it, for whom there are no more than that.
pub(super) fn at_most(many: usize) -> String {
    i64::try_from(many).unwrap_or(i64::MAX).to_string()
}

impl fmt::Debug for ServedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServedStream({})", self.name.escape_ascii())
    }
}
