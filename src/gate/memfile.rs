//! Files that exist in memory only, and how another process of ours opens them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};

/// An empty file in memory. It is gone when the last process that has it open is.
pub(super) fn create() -> io::Result<File> {
    // SAFETY: the name is a C string that lives for the whole program; it only shows in /proc.
    let fd = unsafe { libc::memfd_create(c"latecall".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open and was made just now, so nothing else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// A file in memory with this text.
pub(super) fn with_text(text: &str) -> io::Result<File> {
    let mut file = create()?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

/// The path by which a child process opens a file of this process.
pub(super) fn path_for_children(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}
