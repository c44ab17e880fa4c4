//! Runs the compiler and binutils, and reads and writes files, with errors that name the tool or the file.

use crate::Error;
use std::path::Path;
use std::process::Command;

/// Runs a tool, and returns its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String, Error> {
    // Without translations: some of the output is parsed.
    let output = command
        .env("LC_ALL", "C")
        .output()
        .map_err(|source| Error::ToolMissing { program: command.get_program().to_owned(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::ToolFailed {
        program: command.get_program().to_owned(),
        arguments: command.get_args().map(ToOwned::to_owned).collect(),
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    std::fs::write(path, content).map_err(|source| Error::File { path: path.to_owned(), source })
}

pub(crate) fn create_folder(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(|source| Error::File { path: path.to_owned(), source })
}
