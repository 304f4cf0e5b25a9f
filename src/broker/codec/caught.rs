//! Calls of codecs, in which a panic ends (G15).

use std::sync::Arc;

use super::Codec;
use crate::base::{Fault, Name, PanicText, catch};
use crate::broker::InvalidMessage;
use crate::broker::outcome::kept;

/// The codec's name.
///
/// # Errors
/// A sentence: it can't be one.
pub(crate) fn codec_name<T: 'static>(codec: &dyn Codec<T>) -> Result<Name, String> {
    match catch(|| Name::new(codec.name())) {
        Ok(Ok(name)) => Ok(name),
        Ok(Err(invalid)) => Err(format!("the codec's name can't be one: {invalid}")),
        Err(panic) => Err(format!("the codec panicked when it was asked for its name: {panic}")),
    }
}

/// Writes the message into `into`, in place of what is there; answers the version that it was written as.
///
/// Why in place of it: a codec could do anything to what it was only to add to.
pub(crate) fn encode<T: 'static>(
    codec: &dyn Codec<T>,
    message: &T,
    into: &mut Vec<u8>,
) -> Result<u32, InvalidMessage> {
    into.clear();
    let encoded = catch(|| codec.encode(message, into).map(|()| codec.version()));
    text_of(encoded).map_err(|error| {
        into.clear();
        InvalidMessage::NotEncoded { error }
    })
}

/// Reads a message. If it can't, the text says why.
pub(crate) fn decode<T: 'static>(codec: &dyn Codec<T>, bytes: &[u8], version: u32) -> Result<T, Arc<str>> {
    text_of(catch(|| codec.decode(bytes, version)))
}

fn text_of<R>(called: Result<Result<R, Fault>, PanicText>) -> Result<R, Arc<str>> {
    match called {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(fault)) => Err(kept(fault.to_string().into())),
        Err(panic) => {
            tracing::error!(target: "callboard::broker", panic = %panic, "a codec panicked");
            Err(kept(format!("the codec panicked: {panic}").into()))
        }
    }
}
