//! What a format says of the type that it writes.

use std::borrow::Cow;

use crate::base::Fault;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) name: Cow<'static, str>,
    pub(super) version: u32,
}

impl Typed {
    pub(super) const fn new(format: &'static str) -> Typed {
        Typed { name: Cow::Borrowed(format), version: 0 }
    }

    pub(super) fn with(format: &'static str, name: &str, version: u32) -> Typed {
        Typed { name: Cow::Owned(format!("{format}:{name}")), version }
    }

    /// For a format that names its fields: the type itself knows which of them it can do without.
    pub(super) fn not_newer(&self, version: u32) -> Result<(), Fault> {
        if version <= self.version { Ok(()) } else { Err(self.other(version, "up to version")) }
    }

    /// For a format that doesn't: another version's bytes may read as something else.
    #[cfg(feature = "postcard")]
    pub(super) fn the_same(&self, version: u32) -> Result<(), Fault> {
        if version == self.version { Ok(()) } else { Err(self.other(version, "version")) }
    }

    fn other(&self, version: u32, up_to: &str) -> Fault {
        let Typed { name, version: own } = self;
        Fault::new(format!("{name} of version {version}, and this reads {up_to} {own}"))
    }
}
