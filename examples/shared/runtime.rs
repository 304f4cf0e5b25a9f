//! The runtimes that the examples run on. Nothing else in an example names one.

use std::str::FromStr;

use callboard::prelude::*;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// With as many threads as there are cores.
    #[default]
    Tokio,
    /// The global executor: one thread, or as many as the variable `SMOL_THREADS` says.
    Smol,
}

impl Runtime {
    /// Runs `main` to its end. An error means that the runtime could not be started.
    pub(crate) fn block_on<T>(self, main: impl Future<Output = T>) -> Result<T, Fault> {
        match self {
            Runtime::Tokio => Ok(tokio::runtime::Runtime::new()?.block_on(main)),
            Runtime::Smol => Ok(smol::block_on(main)),
        }
    }
}

impl FromStr for Runtime {
    type Err = Fault;

    fn from_str(name: &str) -> Result<Runtime, Fault> {
        match name {
            "tokio" => Ok(Runtime::Tokio),
            "smol" => Ok(Runtime::Smol),
            _ => Err(Fault::new(format!("there is no runtime {name:?}, only tokio and smol"))),
        }
    }
}
