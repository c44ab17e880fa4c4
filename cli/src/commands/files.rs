//! Programs in files: reading them, and saying what is wrong with one.

use super::Failure;
use latecall::program::Program;
use std::io;
use std::path::Path;

/// The most that is read: the largest program is far smaller, and a device has no end.
const MOST: u64 = 16 << 20;

/// Reads a program.
///
/// # Errors
///
/// The file cannot be read, is not text, or is not a program: with line, column and what was expected there.
pub(super) fn read(path: &Path) -> Result<Program, Failure> {
    let shown = path.display();
    let bytes = contents(path).map_err(|error| Failure::usage(format!("{shown} cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        Failure::usage(format!("{shown}: line {line}: not UTF-8 text, so not a program"))
    })?;
    Program::parse(&text).map_err(|error| Failure::usage(format!("{shown}: {error}")))
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a directory; name the files in it"));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::other(format!("it is larger than {MOST} bytes, so not a program")));
    }
    Ok(bytes)
}
