//! What the tests of the codec share.

use crate::server::resp::{Decoder, Limits, ProtocolError, Request};

/// A request as plain data.
pub(super) type Words = Vec<Vec<u8>>;

/// What was read: the requests, and the error that ended it.
pub(super) type Read = (Vec<Words>, Option<ProtocolError>);

/// What reads requests from pieces: the decoder, or one with a bug in it.
pub(super) trait Reads {
    fn read(&mut self, input: &mut &[u8]) -> Result<Option<Request>, ProtocolError>;

    /// How much it looked at and copied.
    fn work(&self) -> usize;
}

impl Reads for Decoder {
    fn read(&mut self, input: &mut &[u8]) -> Result<Option<Request>, ProtocolError> {
        let read = self.decode(input)?;
        // Every second one, so that both ways are gone.
        if let Some(request) = read.as_ref().filter(|request| request.len() % 2 == 0) {
            self.recycle(request.clone());
        }
        Ok(read)
    }

    fn work(&self) -> usize {
        Decoder::work(self)
    }
}

/// A decoder of a client that has authenticated.
pub(super) fn decoder() -> Decoder {
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_authenticated(true);
    decoder
}

pub(super) fn words(request: &Request) -> Words {
    let words: Words = request.args().map(<[u8]>::to_vec).collect();
    assert_eq!(words.len(), request.len());
    assert_eq!(request.name(), &words[0][..]);
    let by_index: Vec<&[u8]> = (0..request.len()).map(|index| request.get(index).unwrap()).collect();
    assert_eq!(by_index, words);
    assert_eq!(request.get(request.len()), None);
    words
}

/// Reads all of it, piece by piece.
pub(super) fn read_pieces<'a>(from: &mut dyn Reads, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut requests = Vec::new();
    for mut piece in pieces {
        loop {
            match from.read(&mut piece) {
                Ok(Some(request)) => requests.push(words(&request)),
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
        assert!(piece.is_empty(), "what is not taken would be lost");
    }
    (requests, None)
}

/// Reads bytes that come at once.
pub(super) fn read(bytes: &[u8]) -> Read {
    read_pieces(&mut decoder(), [bytes])
}

/// A request as clients send it.
pub(super) fn request(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.as_ref().len()).bytes());
        bytes.extend(word.as_ref());
        bytes.extend(b"\r\n");
    }
    bytes
}

/// So many seeds are tried; `CB_SEEDS` asks for more.
pub(super) fn seeds(default: u64) -> u64 {
    std::env::var("CB_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}
