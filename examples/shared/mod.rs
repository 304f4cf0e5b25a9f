//! What every example shares: `--runtime tokio|smol`, and an exit code that says whether all went as promised.

mod runtime;

use std::process::ExitCode;

use callboard::prelude::*;

use runtime::Runtime;

/// Runs an example on the runtime that the command line names. An error ends the program with exit code 1, bad
/// arguments with 2.
#[expect(clippy::print_stderr, reason = "an example tells its user what went wrong")]
pub(crate) fn run(example: impl Future<Output = Result<(), Fault>>) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(Runtime::default()),
        ["--runtime", name] => name.parse(),
        _ => Err(Fault::new("the arguments are: [--runtime tokio|smol]")),
    };
    let (error, code) = match runtime.map(|runtime| runtime.block_on(example)) {
        Ok(Ok(Ok(()))) => return ExitCode::SUCCESS,
        Ok(Ok(Err(error)) | Err(error)) => (error, 1),
        Err(error) => (error, 2),
    };
    eprintln!("error: {error}");
    ExitCode::from(code)
}
