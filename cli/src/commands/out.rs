//! Writes to standard output and standard error. A closed pipe is no error: `latecall list | head -1`.

use super::Failure;
use std::io::{self, ErrorKind, Write};

/// Writes to the standard output.
///
/// # Errors
///
/// It cannot be written to, and is not a closed pipe.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::harness(format!("the standard output cannot be written to: {error}")))
        }
        _ => Ok(()),
    }
}

/// A message on the standard error. That it may be closed is no reason to stop.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "latecall: {}", text.trim_end());
}

/// The terminal's width, if the standard output is one that says so.
pub(super) fn columns() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request fills in a `winsize`, and `size` is one, valid for the call.
    let answer = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    (answer == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}
