//! Opening the C library at run time, and saying what is wrong with an object that is not it.

use super::api::{ABI_VERSION, Api, Origin};
use std::ffi::{CString, c_void};
use std::fmt;
use std::path::{Path, PathBuf};

/// Why an object was not taken. Its text names the path, the symbol and the versions.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The dynamic loader would not open it.
    Open {
        /// What was to be opened.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// It opened, and is some other library: the version symbol is missing.
    Foreign {
        /// What was opened.
        path: PathBuf,
        /// The symbol that every version has.
        symbol: &'static str,
    },
    /// It is the library, of another version.
    Version {
        /// What was opened.
        path: PathBuf,
        /// What it answered.
        found: u32,
        /// What this crate speaks.
        expected: u32,
    },
    /// It says it is this version and lacks a function of it.
    Symbol {
        /// What was opened.
        path: PathBuf,
        /// The function.
        symbol: &'static str,
        /// The version it claims.
        version: u32,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Open { path, reason } => {
                write!(
                    f,
                    "cannot load the emitter from {}: {reason}; build it with `cargo build`, or name another object",
                    path.display()
                )
            }
            LoadError::Foreign { path, symbol } => {
                write!(
                    f,
                    "{} is not the emitter: it has no symbol {symbol}; name the object that `cargo build` makes",
                    path.display()
                )
            }
            LoadError::Version { path, found, expected } => write!(
                f,
                "{} is the emitter with ABI version {found} (emitter_abi_version), and this build speaks version {expected}; build both from the same source",
                path.display()
            ),
            LoadError::Symbol { path, symbol, version } => write!(
                f,
                "{} answers ABI version {version} (emitter_abi_version) but has no symbol {symbol}; build it again from its source",
                path.display()
            ),
        }
    }
}

impl std::error::Error for LoadError {}

/// The object that the build of the package `latecall` made.
pub fn bundled_object() -> PathBuf {
    Path::new(latecall::internal::NATIVE_OBJECTS).join("libemitter.so")
}

/// The same, built as ABI version 0: what a loader must refuse.
pub fn older_object() -> PathBuf {
    Path::new(latecall::internal::NATIVE_OBJECTS).join("libemitter-older.so")
}

impl Api {
    /// Loads the library from a shared object. The object is never unloaded: what it retains may outlive any handle.
    ///
    /// # Errors
    ///
    /// [`LoadError`]: missing, foreign, of another version, or lacking a function.
    pub fn load(path: &Path) -> Result<&'static Api, LoadError> {
        // SAFETY: opening runs the object's initialisers. The caller names an object to run code of: that is what
        // loading a library means. Ours has none.
        let library = unsafe { libloading::Library::new(path) }
            .map_err(|error| LoadError::Open { path: path.to_owned(), reason: reason(&error) })?;

        let version_symbol = "emitter_abi_version";
        let version = find(&library, version_symbol)
            .ok_or_else(|| LoadError::Foreign { path: path.to_owned(), symbol: version_symbol })?;
        // SAFETY: the symbol `emitter_abi_version` has had this signature in every version of the header.
        let version = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> u32>(version) };
        // SAFETY: it takes nothing.
        let version = unsafe { version() };
        if version != ABI_VERSION {
            return Err(LoadError::Version { path: path.to_owned(), found: version, expected: ABI_VERSION });
        }
        let api = Api::lookup(Origin::Loaded(path.to_owned()), |symbol| {
            find(&library, symbol).ok_or_else(|| LoadError::Symbol { path: path.to_owned(), symbol, version })
        })?;
        std::mem::forget(library);
        Ok(Box::leak(Box::new(api)))
    }
}

fn find(library: &libloading::Library, symbol: &str) -> Option<*mut c_void> {
    let name = CString::new(symbol).ok()?;
    // SAFETY: the address is taken as an untyped pointer and given a type only after the version was checked.
    let found = unsafe { library.get::<*mut c_void>(name.as_bytes_with_nul()) }.ok()?;
    let address = *found;
    (!address.is_null()).then_some(address)
}

/// What the loader itself said, without the wrapper's prefix.
fn reason(error: &libloading::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
