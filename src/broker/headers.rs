//! What a message carries beside its payload: names and values, in order.

use std::error::Error;
use std::fmt;

/// Lists what a message carries beside its payload: names with values, in the order in which they were added.
///
/// A name is text, a value any bytes. A name keeps its case and is found in any (of ASCII letters); it may be there
/// more than once. A list has at most [`Headers::MOST`] entries and [`Headers::MOST_BYTES`] bytes, names and values
/// together.
///
/// # Examples
/// ```
/// use callboard::broker::Headers;
///
/// let mut headers = Headers::new();
/// headers.append("Tenant", "acme")?;
/// headers.append("signature", [0xff, 0x00])?;
/// assert_eq!(headers.text("tenant"), Some("acme"));
/// assert_eq!(headers.get("Signature"), Some(&[0xff, 0x00][..]));
/// # Ok::<(), callboard::broker::InvalidHeader>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// Names and values, one behind the other. Limit: `MOST_BYTES`.
    bytes: Vec<u8>,
    /// Where each name ends, and each value behind it. Limit: `MOST`.
    ends: Vec<(u32, u32)>,
}

/// Says why a header can't be added. The list is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// The name is empty, longer than [`Headers::MOST_NAME`], or has something else than visible ASCII in it.
    Name,
    /// The list has [`Headers::MOST`] entries.
    TooMany,
    /// Names and values together would be more than [`Headers::MOST_BYTES`].
    TooLarge,
}

impl Headers {
    /// What a message without headers shows.
    pub(crate) fn none() -> &'static Headers {
        static NONE: Headers = Headers::new();
        &NONE
    }

    /// The most entries of a list.
    pub const MOST: usize = 64;
    /// The most bytes of a list, names and values together.
    pub const MOST_BYTES: usize = 16 * 1024;
    /// The most bytes of a name.
    pub const MOST_NAME: usize = 128;

    /// Makes an empty list, which takes no memory.
    pub const fn new() -> Headers {
        Headers { bytes: Vec::new(), ends: Vec::new() }
    }

    /// Adds a header behind the others, also if there is one of this name.
    ///
    /// # Errors
    /// [`InvalidHeader`]: a limit, or a name that can't be one.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        let value = value.as_ref();
        if name.is_empty() || name.len() > Headers::MOST_NAME || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidHeader::Name);
        }
        if self.ends.len() == Headers::MOST {
            return Err(InvalidHeader::TooMany);
        }
        if self.bytes.len() + name.len() + value.len() > Headers::MOST_BYTES {
            return Err(InvalidHeader::TooLarge);
        }
        self.bytes.extend_from_slice(name.as_bytes());
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        // Both are below `MOST_BYTES`.
        self.ends.push((name_end as u32, self.bytes.len() as u32));
        Ok(())
    }

    /// Adds a header behind the others, in place of all of this name.
    ///
    /// # Errors
    /// [`InvalidHeader`], as [`Headers::append`]; those of this name are then still there.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        let mut others = self.without(name);
        others.append(name, value)?;
        *self = others;
        Ok(())
    }

    /// Takes all headers of this name out; answers how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let others = self.without(name);
        let removed = self.len() - others.len();
        *self = others;
        removed
    }

    /// Returns the first value of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Returns the first value of this name as text; `None` also if it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// Returns all values of this name, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns all names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut start = 0;
        self.ends.iter().filter_map(move |(name_end, end)| {
            let (name_end, end) = (*name_end as usize, *end as usize);
            let name = std::str::from_utf8(self.bytes.get(start..name_end)?).ok()?;
            let value = self.bytes.get(name_end..end)?;
            start = end;
            Some((name, value))
        })
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns how many bytes the names and values have together.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn without(&self, name: &str) -> Headers {
        let mut others = Headers::new();
        for (other, value) in self.iter().filter(|(other, _)| !other.eq_ignore_ascii_case(name)) {
            // A part of what is within the limits.
            let _ = others.append(other, value);
        }
        others
    }
}

/// Shows the names alone: values may be secrets.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidHeader::Name => {
                write!(f, "a header's name is 1 to {} visible ASCII characters", Headers::MOST_NAME)
            }
            InvalidHeader::TooMany => write!(f, "a message has at most {} headers", Headers::MOST),
            InvalidHeader::TooLarge => {
                write!(f, "a message's headers have at most {} bytes", Headers::MOST_BYTES)
            }
        }
    }
}

impl Error for InvalidHeader {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_and_keeps_its_own() {
        let mut headers = Headers::new();
        headers.append("Tenant", "acme").unwrap();
        headers.append("other", "").unwrap();
        headers.append("TENANT", [0xff]).unwrap();
        assert_eq!(headers.text("tenant"), Some("acme"));
        assert_eq!(headers.get_all("tenanT").collect::<Vec<_>>(), [&b"acme"[..], &[0xff]]);
        assert_eq!((headers.get("other"), headers.get("none")), (Some(&[][..]), None));
        let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Tenant", "other", "TENANT"]);
        headers.set("tenant", "x").unwrap();
        assert_eq!((headers.len(), headers.remove("OTHER"), headers.remove("OTHER")), (2, 1, 0));
        assert_eq!(format!("{headers:?}"), r#"["tenant"]"#, "and no value");
    }

    /// G2.
    #[test]
    fn what_is_over_a_limit_is_refused_and_changes_nothing() {
        let mut headers = Headers::new();
        for bad in ["", "a b", "a\n", "ä", &"n".repeat(129)] {
            assert_eq!(headers.append(bad, "x"), Err(InvalidHeader::Name), "{bad:?}");
        }
        headers.append(&"n".repeat(128), vec![0; Headers::MOST_BYTES - 128]).unwrap();
        let full = headers.clone();
        assert_eq!(headers.append("n", ""), Err(InvalidHeader::TooLarge));
        assert_eq!(headers.set("n", vec![0; Headers::MOST_BYTES]), Err(InvalidHeader::TooLarge));
        assert_eq!(headers, full);
        headers.set(&"N".repeat(128), "in place of the large one").unwrap();
        (1..Headers::MOST).for_each(|_| headers.append("n", "").unwrap());
        assert_eq!(headers.append("n", ""), Err(InvalidHeader::TooMany));
        assert_eq!(headers.len(), Headers::MOST);
    }

    fn entry() -> impl Strategy<Value = (String, Vec<u8>)> {
        ("[a-cA-C]{1,2}", prop::collection::vec(any::<u8>(), 0..4))
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(String, Vec<u8>),
        Set(String, Vec<u8>),
        Remove(String),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => entry().prop_map(|(name, value)| Step::Append(name, value)),
            1 => entry().prop_map(|(name, value)| Step::Set(name, value)),
            1 => entry().prop_map(|(name, _)| Step::Remove(name)),
        ]
    }

    proptest! {
        #[test]
        fn the_list_agrees_with_a_list_of_pairs(steps in prop::collection::vec(step(), 0..40)) {
            let (mut headers, mut toy) = (Headers::new(), Vec::<(String, Vec<u8>)>::new());
            for step in steps {
                match step {
                    Step::Append(name, value) => {
                        headers.append(&name, &value).unwrap();
                        toy.push((name, value));
                    }
                    Step::Set(name, value) => {
                        headers.set(&name, &value).unwrap();
                        toy.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
                        toy.push((name, value));
                    }
                    Step::Remove(name) => {
                        let before = toy.len();
                        toy.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
                        prop_assert_eq!(headers.remove(&name), before - toy.len());
                    }
                }
                let pairs: Vec<_> = headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
                prop_assert_eq!(&pairs, &toy);
                let bytes: usize = toy.iter().map(|(name, value)| name.len() + value.len()).sum();
                prop_assert_eq!((headers.len(), headers.bytes()), (toy.len(), bytes));
            }
        }
    }
}
