//! Where a topic that spills puts what it has no room for in memory: blocks of messages, in files that nobody else sees.
//!
//! A file has no name once it is open, so nothing is left of it when the process ends, however it ends; the space is free as soon
//! as the last block of it was read. What block lies where is known in memory alone. No sync is ever asked for: what is spilled is as
//! lost with the process as the rest of the topic.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crc32c::crc32c;

use super::codec::{Codec, encode};
use super::envelope::Envelope;
use super::message::Item;
use super::record::{Clocks, Reader};
use crate::base::Name;
use crate::base::varint::{Take, put_bytes, put_u64};
use crate::log::{LogError, OpenMode, Vfs, VfsFile};
use crate::runtime::Rt;

/// A file is followed by another one when it has so many bytes.
const FILE: u64 = 64 << 20;

/// Writes blocks and reads them, for one topic.
pub(crate) struct Spiller<T> {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    pub(crate) topic: Name,
    pub(crate) codec: Arc<dyn Codec<T>>,
    pub(crate) rt: Rt,
    pub(crate) keyed: bool,
    /// The topic's, in milliseconds.
    pub(crate) ttl: Option<u64>,
}

/// The file that is written, and how far.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    file: Arc<dyn VfsFile>,
    at: u64,
}

/// Messages on the disk.
#[derive(Debug)]
pub(crate) struct Block {
    file: Arc<dyn VfsFile>,
    at: u64,
    len: usize,
    sum: u32,
    pub(crate) messages: usize,
}

impl Block {
    pub(crate) fn bytes(&self) -> u64 {
        self.len as u64
    }
}

/// A block was written, or its messages are here again.
pub(crate) type Written<T> = Result<(Block, Tail), (Vec<Item<T>>, io::Error)>;

impl<T: Send + Sync + 'static> Spiller<T> {
    /// Writes messages behind what is there. Blocks.
    pub(crate) fn write(&self, tail: Option<Tail>, items: Vec<Item<T>>) -> Written<T> {
        let done = self.encode(&items).and_then(|bytes| self.append(tail, &bytes, items.len()));
        done.map_err(|error| (items, error))
    }

    fn append(&self, tail: Option<Tail>, bytes: &[u8], messages: usize) -> io::Result<(Block, Tail)> {
        let Tail { file, at } = match tail.filter(|tail| tail.at < FILE) {
            Some(tail) => tail,
            None => Tail { file: self.create()?, at: 0 },
        };
        file.write_all_at(bytes, at)?;
        let block = Block { file: file.clone(), at, len: bytes.len(), sum: crc32c(bytes), messages };
        Ok((block, Tail { file, at: at + bytes.len() as u64 }))
    }

    /// Whether files can be made there.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn try_out(&self) -> Result<(), LogError> {
        self.create().map(drop).map_err(|error| LogError::io("spill to", &self.dir, error))
    }

    /// A file without a name.
    fn create(&self) -> io::Result<Arc<dyn VfsFile>> {
        let (pid, random) = (std::process::id(), self.rt.random());
        let path = self.dir.join(format!("callboard-{}-{pid}-{random:016x}.spill", self.topic));
        let file = self.vfs.open(&path, OpenMode::CreateNew)?;
        // Why again: a name that stays is never missed by anybody.
        self.vfs.remove_file(&path).or_else(|_| self.vfs.remove_file(&path))?;
        Ok(file.into())
    }

    fn encode(&self, items: &[Item<T>]) -> io::Result<Vec<u8>> {
        let clocks = Clocks::of(&self.rt);
        let (mut out, mut payload, mut body) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            payload.clear();
            body.clear();
            let version = encode(&*self.codec, item.value(), &mut payload)
                .map_err(|error| io::Error::other(format!("a message can't be written: {error:?}")))?;
            let envelope = Envelope {
                key: self.keyed.then(|| item.key()),
                headers: Cow::Borrowed(item.headers()),
                expires: item.expires().map(|at| clocks.unix_millis(at)),
                version,
                ..Envelope::of(&payload)
            };
            envelope.encode(&mut body);
            put_u64(&mut out, item.millis());
            put_u64(&mut out, item.seq().is_some().into());
            put_u64(&mut out, item.seq().unwrap_or_default());
            put_u64(&mut out, item.weight());
            put_bytes(&mut out, &body);
        }
        Ok(out)
    }

    /// Reads a block's messages, in order. Blocks. `None` stands for one that can't be read any more.
    ///
    /// # Errors
    /// As the file system says; or what is there is not what was written.
    pub(crate) fn read(&self, block: &Block) -> io::Result<Vec<Option<Item<T>>>> {
        let bytes = block.file.read_vec(block.at, block.len)?;
        if bytes.len() != block.len || crc32c(&bytes) != block.sum {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "what was spilled is not what was written",
            ));
        }
        let (clocks, mut take) = (Clocks::of(&self.rt), Take::new(&bytes));
        let mut next = || {
            let (millis, named, seq) = (take.u64()?, take.u64()? == 1, take.u64()?);
            let (weight, body) = (take.u64()?, take.sized()?);
            let reader = Reader { codec: &*self.codec, clocks, ttl: self.ttl, weight: &|_, _| weight };
            reader.item(millis, named.then_some(seq), body).ok()
        };
        Ok((0..block.messages).map(|_| next()).collect())
    }
}
