//! What a message's key is, and its hash.

use std::fmt;
use std::sync::Arc;

use twox_hash::XxHash3_64;

use crate::base::catch;

/// Says which messages belong together, by a hash.
///
/// It is implemented for texts, bytes, integers, `bool`, `char`, and tuples, options and references of these.
/// Implement it for a type of your own by handing on to a field.
///
/// # Examples
/// ```
/// use callboard::broker::{Key, KeyHash};
///
/// struct CustomerId(u64);
///
/// impl Key for CustomerId {
///     fn key_hash(&self) -> KeyHash {
///         self.0.key_hash()
///     }
/// }
///
/// assert_eq!(CustomerId(7).key_hash(), 7_u64.key_hash());
/// assert_ne!("7".key_hash(), 7_u64.key_hash());
/// ```
pub trait Key {
    /// Returns the key's hash. Equal keys must have equal hashes.
    fn key_hash(&self) -> KeyHash;
}

/// Stands for a key: 64 bits, the same in every process, on every machine and in every version of this crate.
///
/// It is XXH3-64 with the seed 0, over these bytes:
///
/// | key | bytes |
/// |---|---|
/// | text, bytes | themselves |
/// | an integer of up to 64 bits, `bool`, `char` | its value as a 64-bit integer, little-endian |
/// | a 128-bit integer | itself, little-endian |
/// | a tuple | the hashes of its parts, little-endian, one after the other |
/// | `None`; `Some(key)` | no bytes; the hash of the key, little-endian |
///
/// Two keys of one hash are taken for one: their messages wait for each other. Among a million keys the odds of any
/// such pair are 1 in 37 million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Hashes bytes.
    pub fn of(bytes: &[u8]) -> KeyHash {
        KeyHash(XxHash3_64::oneshot(bytes))
    }

    /// Returns the number.
    pub fn get(self) -> u64 {
        self.0
    }

    fn of_all<const N: usize>(parts: [KeyHash; N]) -> KeyHash {
        KeyHash::of(parts.map(|part| part.0.to_le_bytes()).as_flattened())
    }

    pub(crate) fn from_number(number: u64) -> KeyHash {
        KeyHash(number)
    }
}

/// Prints it as 16 hexadecimal digits.
impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a topic finds its messages' keys with.
pub(crate) type KeyFn<T> = Arc<dyn Fn(&T) -> KeyHash + Send + Sync>;

/// The key of a value. `None`: the function panicked, and the log says so.
pub(crate) fn key_of<T>(key: &KeyFn<T>, value: &T) -> Option<KeyHash> {
    catch(|| key(value))
        .inspect_err(|text| {
            tracing::error!(target: "callboard::broker", panic = %text, "a key function panicked");
        })
        .ok()
}

macro_rules! as_bytes {
    ($($type:ty),*) => {
        $(impl Key for $type {
            fn key_hash(&self) -> KeyHash {
                KeyHash::of(self.as_ref())
            }
        })*
    };
}

as_bytes!(str, String, [u8], Vec<u8>);

macro_rules! as_u64 {
    ($($type:ty),*) => {
        $(impl Key for $type {
            fn key_hash(&self) -> KeyHash {
                KeyHash::of(&(*self as u64).to_le_bytes())
            }
        })*
    };
}

as_u64!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, bool, char);

macro_rules! as_u128 {
    ($($type:ty),*) => {
        $(impl Key for $type {
            fn key_hash(&self) -> KeyHash {
                KeyHash::of(&self.to_le_bytes())
            }
        })*
    };
}

as_u128!(u128, i128);

impl<const N: usize> Key for [u8; N] {
    fn key_hash(&self) -> KeyHash {
        KeyHash::of(self)
    }
}

impl<K: Key + ?Sized> Key for &K {
    fn key_hash(&self) -> KeyHash {
        (**self).key_hash()
    }
}

impl<K: Key> Key for Option<K> {
    fn key_hash(&self) -> KeyHash {
        match self {
            Some(key) => KeyHash::of_all([key.key_hash()]),
            None => KeyHash::of(&[]),
        }
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn key_hash(&self) -> KeyHash {
        KeyHash::of_all([self.0.key_hash(), self.1.key_hash()])
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn key_hash(&self) -> KeyHash {
        KeyHash::of_all([self.0.key_hash(), self.1.key_hash(), self.2.key_hash()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G10. The values of the algorithm's own test vectors (empty input) and of the table above: whoever changes one
    /// changes which messages wait for each other across versions.
    #[test]
    fn a_hash_is_what_it_always_was() {
        assert_eq!(KeyHash::of(&[]).to_string(), "2d06800538d394c2");
        let table = [
            ("anvil".key_hash(), KeyHash::of(b"anvil")),
            (String::from("anvil").key_hash(), KeyHash::of(b"anvil")),
            (b"anvil".key_hash(), KeyHash::of(b"anvil")),
            (7_u8.key_hash(), KeyHash::of(&[7, 0, 0, 0, 0, 0, 0, 0])),
            ((-1_i32).key_hash(), KeyHash::of(&[0xff; 8])),
            ('a'.key_hash(), 97_u64.key_hash()),
            (true.key_hash(), 1_usize.key_hash()),
            (1_u128.key_hash(), KeyHash::of(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            (None::<u8>.key_hash(), KeyHash::of(&[])),
            (Some("a").key_hash(), KeyHash::of(&"a".key_hash().get().to_le_bytes())),
        ];
        for (at, (is, should)) in table.into_iter().enumerate() {
            assert_eq!(is, should, "row {at}");
        }
    }

    #[test]
    fn the_parts_of_a_tuple_do_not_run_together() {
        assert_ne!(("ab", "c").key_hash(), ("a", "bc").key_hash());
        assert_ne!(("a", "b").key_hash(), ("b", "a").key_hash());
        assert_ne!(("a", "b").key_hash(), ("a", "b", "").key_hash());
    }
}
