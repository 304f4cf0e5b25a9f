//! The example's own program, started once more, to be killed.

use std::process::{Command, Stdio};

use callboard::prelude::*;

/// What a process said in one line: a word, and numbers.
pub(crate) type Line = (String, Vec<u64>);

/// Starts this program with its own arguments and these variables, and waits for its end. Answers the lines that it said, and
/// its exit code: none if it was killed. A line that was cut short was not said.
pub(crate) fn again(variables: &[(&str, String)]) -> Result<(Vec<Line>, Option<i32>), Fault> {
    let mut child = Command::new(std::env::current_exe()?);
    child.args(std::env::args().skip(1)).envs(variables.iter().cloned()).stderr(Stdio::inherit());
    let output = child.output()?;
    let said = String::from_utf8(output.stdout)?;
    let lines = said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let lines = lines.map(|line| {
        let (what, numbers) = line.split_once(' ').unwrap_or((line, ""));
        Ok((what.to_string(), numbers.split(' ').map(str::parse).collect::<Result<_, _>>()?))
    });
    Ok((lines.collect::<Result<_, Fault>>()?, output.status.code()))
}

/// Ends this process by SIGKILL. It goes on until that strikes.
pub(crate) fn kill() -> Result<(), Fault> {
    Command::new("kill").args(["-KILL", &std::process::id().to_string()]).spawn()?;
    Ok(())
}
