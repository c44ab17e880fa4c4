//! Loads the C library at run time, and says what is wrong with an object that cannot be used.

use super::api::{ABI_VERSION, Api, Origin};
use std::error::Error;
use std::ffi::{CString, c_void};
use std::fmt;
use std::path::{Path, PathBuf};

/// Why an object cannot be used as the C library. The text names the path, the symbol and the versions.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The dynamic loader could not open the object.
    #[non_exhaustive]
    Open {
        /// The object.
        path: PathBuf,
        /// The loader's error, which is also the [`source`](Error::source). The text of [`LoadError`] has its reason.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The object is another library: it lacks the symbol that every version of the emitter has.
    #[non_exhaustive]
    Foreign {
        /// The object.
        path: PathBuf,
        /// The symbol that is missing.
        symbol: &'static str,
    },
    /// The object is the emitter, with another ABI version.
    #[non_exhaustive]
    Version {
        /// The object.
        path: PathBuf,
        /// The version that the object returned.
        found: u32,
        /// The version that this crate needs.
        expected: u32,
    },
    /// The object returns the right ABI version, and lacks a function of that version.
    #[non_exhaustive]
    Symbol {
        /// The object.
        path: PathBuf,
        /// The function that is missing.
        symbol: &'static str,
        /// The version that the object returned.
        version: u32,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Open { path, cause } => {
                // libloading wraps the loader's message, which is the reason, into a text of its own.
                let reason = cause.source().map_or_else(|| cause.to_string(), ToString::to_string);
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
                "{} is the emitter with ABI version {found} (emitter_abi_version), and this build needs version {expected}; build both from the same source",
                path.display()
            ),
            LoadError::Symbol { path, symbol, version } => write!(
                f,
                "{} returns ABI version {version} (emitter_abi_version) but has no symbol {symbol}; build it again from its source",
                path.display()
            ),
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LoadError::Open { cause, .. } => Some(&**cause),
            LoadError::Foreign { .. } | LoadError::Version { .. } | LoadError::Symbol { .. } => None,
        }
    }
}

/// The path of the shared object that the build script of the package `latecall` makes.
pub fn bundled_object() -> PathBuf {
    Path::new(latecall::internal::NATIVE_OBJECTS).join("libemitter.so")
}

/// The path of the same library, built as ABI version 0: [`Api::load`] must refuse it.
pub fn older_object() -> PathBuf {
    Path::new(latecall::internal::NATIVE_OBJECTS).join("libemitter-older.so")
}

impl Api {
    /// Loads the library from a shared object. The object is never unloaded, because its callbacks and threads may
    /// outlive every value that refers to it.
    ///
    /// # Errors
    ///
    /// The object cannot be opened, is another library, has another ABI version, or lacks a function.
    pub fn load(path: &Path) -> Result<&'static Api, LoadError> {
        // SAFETY: opening runs the object's initialisers and finalisers, which must be sound. The bundled objects have
        // none. For another object this rests on the user, who names the object in order to run its code.
        let library = unsafe { libloading::Library::new(path) }
            .map_err(|error| LoadError::Open { path: path.to_owned(), cause: error.into() })?;

        let version_symbol = "emitter_abi_version";
        let version = find(&library, version_symbol)
            .ok_or_else(|| LoadError::Foreign { path: path.to_owned(), symbol: version_symbol })?;
        // SAFETY: a function pointer needs the address of a function of its type. `find` returns no null pointer, and
        // `emitter_abi_version` has this type in every version of the header.
        let version = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> u32>(version) };
        // SAFETY: the function takes no arguments and has no conditions. `library` is open.
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
    // SAFETY: the symbol must have the type that `get` is asked for. An untyped pointer fits every symbol; the callers
    // give the address a type.
    let found = unsafe { library.get::<*mut c_void>(name.as_bytes_with_nul()) }.ok()?;
    let address = *found;
    (!address.is_null()).then_some(address)
}
