//! Why C code cannot be put under the model.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why C code cannot be put under the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Symbols that the model does not know, each with the objects that use it.
    Unmodelled(BTreeMap<String, BTreeSet<String>>),
    /// Thread-local variables, each with its object: all threads of a model share one thread of the machine.
    ThreadLocal(BTreeMap<String, BTreeSet<String>>),
    /// Objects with code that was not compiled with `-fsanitize=thread`: the model would see nothing of it.
    NotInstrumented(BTreeSet<String>),
    /// A tool could not be run, or failed.
    Tool(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, symbols: &BTreeMap<String, BTreeSet<String>>| {
            symbols.iter().try_for_each(|(symbol, objects)| {
                let objects: Vec<_> = objects.iter().map(String::as_str).collect();
                write!(f, "; `{symbol}` in {}", objects.join(", "))
            })
        };
        match self {
            Self::Unmodelled(symbols) => {
                write!(
                    f,
                    "the model knows nothing of these functions, which may block or have effects it cannot undo (give \
                     the code another way, or allow a harmless one with Instrument::allow)"
                )?;
                list(f, symbols)
            }
            Self::ThreadLocal(symbols) => {
                write!(f, "thread-local variables cannot be modelled (pthread keys can)")?;
                list(f, symbols)
            }
            Self::NotInstrumented(objects) => {
                let objects: Vec<_> = objects.iter().map(String::as_str).collect();
                write!(
                    f,
                    "compiled without -fsanitize=thread, so the model would not see its accesses: {}",
                    objects.join(", ")
                )
            }
            Self::Tool(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Refused {}
