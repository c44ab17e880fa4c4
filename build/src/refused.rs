//! Why C code cannot be put under the model, and what to do about it.

use super::object::is_of_c_library;
use super::symbols::{reason, reason_of};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Names, each with the objects (or functions) that have it.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// Why C code cannot be put under the model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Symbols that the model does not know, each with the objects that use it.
    Unmodelled(Uses),
    /// Symbols that neither the code itself nor the C library defines, each with the objects that use it; and the
    /// unmodelled ones, if there are any too.
    Undefined {
        /// Those that nobody defines.
        undefined: Uses,
        /// As in [`Self::Unmodelled`].
        unmodelled: Uses,
    },
    /// Thread-local variables, each with its object: all threads of a model share one thread of the machine.
    ThreadLocal(Uses),
    /// Objects with code that was not compiled with `-fsanitize=thread`: the model would see nothing of it.
    NotInstrumented(BTreeSet<String>),
    /// Instructions that only assembly in the source can have made, and that do to memory, to time or to the kernel what the
    /// model would not see, or ask for the machine's thread; each with the functions that have it.
    Assembly(Uses),
    /// There was nothing to instrument.
    Nothing,
    /// A tool could not be run, or failed.
    Tool(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmodelled(symbols) => unmodelled(f, symbols),
            Self::Undefined { undefined, unmodelled: others } => {
                write!(f, "neither these files nor the C library define:")?;
                uses(f, undefined)?;
                write!(
                    f,
                    "\nAdd the files of the library that do (Instrument::file), or one of your own with as much as your \
                     test needs; let it call a harmless one of another library, which you link, or of your Rust code \
                     (Instrument::allow); where it does not come to one, refuse it only when it is called \
                     (Instrument::refuse_when_called)"
                )?;
                if !others.is_empty() {
                    f.write_str("\nBesides, ")?;
                    unmodelled(f, others)?;
                }
                Ok(())
            }
            Self::ThreadLocal(symbols) => {
                write!(f, "thread-local variables that could not be turned into calls, which the model would answer:")?;
                uses(f, symbols)?;
                write!(
                    f,
                    "\nPass the sources of an object (Instrument::file), or compile it with clang and -femulated-tls. What \
                     gcc makes of a source is changed only where all of it is known, which assembly of the source's own and \
                     inline variables of C++ are not: compile with clang (Instrument::compiler); pthread keys work with \
                     every compiler"
                )
            }
            Self::NotInstrumented(objects) => {
                write!(
                    f,
                    "compiled without -fsanitize=thread, so the model would not see what it does to memory: {} (compile \
                     it with instrument::COMPILER_FLAGS, or pass its sources to Instrument::file)",
                    list(objects)
                )
            }
            Self::Assembly(instructions) => {
                write!(f, "assembly in the source does what the model would not see:")?;
                uses(f, instructions)?;
                write!(
                    f,
                    "\nMost libraries have a flag that takes C11 atomics or the compiler's built-in ones instead, and \
                     the C library instead of system calls; a file that your test does not need can be left out; %fs is the machine's thread, which all threads of a model \
                     share: pthread_self tells them apart"
                )
            }
            Self::Nothing => f.write_str("there is no file and no object to instrument (Instrument::file, ::object)"),
            Self::Tool(message) => f.write_str(message),
        }
    }
}

/// Whether there is a reason of its own to refuse it.
pub(super) fn is_known(symbol: &str) -> bool {
    reason_of(symbol).is_some()
}

/// Why a function is refused when it is called, and what to do, for the search that meets the call.
pub(super) fn when_called(symbol: &str, c_library: &BTreeSet<String>) -> String {
    if is_known(symbol) || is_of_c_library(symbol, c_library) {
        format!("{} (a function of that name in a file of your own can take its place)", reason(symbol))
    } else {
        "neither the instrumented files nor the C library define it (Instrument::file)".to_owned()
    }
}

fn unmodelled(f: &mut fmt::Formatter<'_>, symbols: &Uses) -> fmt::Result {
    write!(f, "the model does not know these functions:")?;
    // Those of one kind together: a library that opens sockets has many.
    let mut kinds: Vec<(&str, Vec<String>)> = Vec::new();
    for (symbol, objects) in symbols {
        let (reason, text) = (reason(symbol), format!("`{symbol}` in {}", list(objects)));
        match kinds.iter_mut().find(|(kind, _)| *kind == reason) {
            Some((_, symbols)) => symbols.push(text),
            None => kinds.push((reason, vec![text])),
        }
    }
    for (reason, symbols) in kinds {
        write!(f, "\n  {}: {reason}", symbols.join("; "))?;
    }
    write!(
        f,
        "\nGive the code another way for the model (a flag that leaves the part out, or a function of the same name in a \
         file of your own), let it call a harmless one with Instrument::allow, or, where your test does not come to it, \
         refuse it only when it is called (Instrument::refuse_when_called; Instrument::refuse_all_when_called for all of \
         them)"
    )
}

fn uses(f: &mut fmt::Formatter<'_>, uses: &Uses) -> fmt::Result {
    uses.iter().try_for_each(|(name, places)| write!(f, "\n  `{name}` in {}", list(places)))
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

impl std::error::Error for Refused {}
