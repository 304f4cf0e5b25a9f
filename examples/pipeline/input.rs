//! Reads lines, a few at a time, on a thread of its own, and counts their words as plainly as can be.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use async_channel::{Receiver, Sender};
use callboard::prelude::*;

use crate::count::{Plain, words};

/// The most lines that are published together.
const LINES: usize = 256;
/// A line that is longer is taken for several, so that memory stays bounded whatever comes in.
const LONGEST_LINE: u64 = 64 * 1024;

/// Lines that are on their way from the reading thread. At most two pieces of at most [`LINES`] lines wait.
pub(crate) type Lines = Receiver<Vec<String>>;

/// Finds out what to read, before anything starts.
pub(crate) fn check(files: Vec<PathBuf>) -> Result<Vec<PathBuf>, Fault> {
    if files.is_empty() {
        let mut sources = Vec::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        find_sources(&folder, &mut sources).map_err(|error| unreadable(&folder, &error))?;
        sources.sort();
        return Ok(sources);
    }
    for file in files.iter().filter(|file| !is_stdin(file)) {
        let kind = fs::metadata(file).map_err(|error| unreadable(file, &error))?;
        if kind.is_dir() {
            return Err(Fault::new(format!("{} is a folder; name files", file.display())));
        }
    }
    Ok(files)
}

/// Starts to read. The thread ends with the plain count, or with what could not be read.
#[expect(clippy::disallowed_methods, reason = "reading blocks, so it has a thread of its own")]
pub(crate) fn start(files: Vec<PathBuf>) -> (Lines, JoinHandle<Result<Plain, Fault>>) {
    let (sender, lines) = async_channel::bounded(2);
    (lines, thread::spawn(move || read_all(&files, &sender)))
}

fn read_all(files: &[PathBuf], sender: &Sender<Vec<String>>) -> Result<Plain, Fault> {
    let mut plain = Plain::default();
    for file in files {
        let source: Box<dyn Read> = match is_stdin(file) {
            true => Box::new(io::stdin().lock()),
            false => Box::new(File::open(file).map_err(|error| unreadable(file, &error))?),
        };
        read(source, sender, &mut plain).map_err(|error| unreadable(file, &error))?;
    }
    Ok(plain)
}

fn read(source: impl Read, sender: &Sender<Vec<String>>, plain: &mut Plain) -> io::Result<()> {
    let mut source = BufReader::with_capacity(64 * 1024, source);
    let mut piece = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut source).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read > 0 {
            // What is not UTF-8 is replaced, not refused: logs have it.
            let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            plain.line(words(&text));
            piece.push(text);
        }
        // A piece goes on its way when it is full, and when the next line may take its time.
        let wait_ahead = read == 0 || source.buffer().is_empty();
        if piece.len() == LINES || (wait_ahead && !piece.is_empty()) {
            // Nobody listens any more: the program is ending with an error.
            if sender.send_blocking(std::mem::take(&mut piece)).is_err() {
                return Ok(());
            }
        }
        if read == 0 {
            return Ok(());
        }
    }
}

fn find_sources(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn unreadable(file: &Path, error: &io::Error) -> Fault {
    Fault::new(format!("can't read {}: {error}", file.display()))
}
