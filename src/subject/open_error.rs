//! Why a session could not be opened.

use std::error::Error;
use std::fmt;

/// Why a session could not be opened: a text, or an error of the binding or its library.
///
/// Prints as what it was made from, and has the same [`source`](Error::source). To get the error itself, use
/// [`get_ref`](Self::get_ref) or [`into_inner`](Self::into_inner).
#[derive(Debug)]
pub struct OpenError(Box<dyn Error + Send + Sync>);

impl OpenError {
    /// From an error, or from a text.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        OpenError(error.into())
    }

    /// The error that this was made from.
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }

    /// The error that this was made from.
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl From<String> for OpenError {
    fn from(text: String) -> Self {
        OpenError::new(text)
    }
}

impl From<&str> for OpenError {
    fn from(text: &str) -> Self {
        OpenError::new(text)
    }
}

impl From<std::io::Error> for OpenError {
    fn from(error: std::io::Error) -> Self {
        OpenError::new(error)
    }
}
