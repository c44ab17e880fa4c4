//! Why code could not be instrumented, and what to do about it.

use crate::symbols::{is_of_c_library, reason, reason_of};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::{fmt, io};

/// Names, each with the objects (or functions) that use it.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// Why code could not be instrumented. The text says what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Functions of the C library that are not modelled, each with the objects that use it.
    Unmodelled(Uses),
    /// The code uses symbols that are defined neither by the code itself nor by the C library.
    #[non_exhaustive]
    Undefined {
        /// The symbols, each with the objects that use it.
        undefined: Uses,
        /// Functions that are not modelled and that the code uses besides; see [`Self::Unmodelled`].
        unmodelled: Uses,
    },
    /// Thread-local variables that could not be turned into calls, each with its object. All threads of a search run on
    /// one thread of the operating system, so they would share the variable.
    ThreadLocal(Uses),
    /// Objects that contain code and were not compiled with `-fsanitize=thread`. The explorer would not see what they
    /// do to memory.
    NotInstrumented(BTreeSet<String>),
    /// Instructions from assembly in the source, each with the functions that contain it. They access memory, the
    /// clock, the kernel or the thread pointer in a way that the explorer would not see.
    Assembly(Uses),
    /// There is neither a source file nor an object.
    NoInput,
    /// A compiler or another tool could not be started.
    #[non_exhaustive]
    ToolMissing {
        /// The tool.
        program: OsString,
        /// Why it could not be started.
        source: io::Error,
    },
    /// A compiler or another tool reported an error.
    #[non_exhaustive]
    ToolFailed {
        /// The tool.
        program: OsString,
        /// Its arguments.
        arguments: Vec<OsString>,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// A file could not be read or written.
    #[non_exhaustive]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is neither an ELF object for 64-bit machines nor an archive of such objects.
    #[non_exhaustive]
    NotAnObject {
        /// The file. For a member of an archive: `archive(member)`.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmodelled(symbols) => unmodelled(f, symbols),
            Self::Undefined { undefined, unmodelled: others } => {
                f.write_str("these symbols are defined neither by the instrumented files nor by the C library:")?;
                uses(f, undefined)?;
                f.write_str(
                    "\nFor each of them, one of these helps:\
                     \n  - Add the file that defines it (Instrument::file).\
                     \n  - Write a function of this name that does as much as your test needs, and add its file.\
                     \n  - If it is a harmless function of another library, which you link, or of your Rust code: \
                     Instrument::allow.\
                     \n  - If your test does not call it: Instrument::refuse_when_called.",
                )?;
                if !others.is_empty() {
                    f.write_str("\nBesides, ")?;
                    unmodelled(f, others)?;
                }
                Ok(())
            }
            Self::ThreadLocal(symbols) => {
                f.write_str("thread-local variables that cannot be turned into calls:")?;
                uses(f, symbols)?;
                f.write_str(
                    "\nAll threads of a search would share them. One of these helps:\
                     \n  - For an object or archive: pass its sources instead (Instrument::file), or compile it with clang \
                     and -femulated-tls.\
                     \n  - For a source whose own assembly uses the variable, and for an inline variable of C++: compile \
                     with clang (Instrument::compiler).\
                     \n  - Use pthread keys, which work with every compiler.",
                )
            }
            Self::NotInstrumented(objects) => write!(
                f,
                "compiled without -fsanitize=thread, so the explorer would not see what the code does to memory: {}\n\
                 Compile with latecall_build::COMPILER_FLAGS, or pass the sources instead (Instrument::file).",
                list(objects)
            ),
            Self::Assembly(instructions) => {
                f.write_str("assembly in the source contains instructions that the explorer would not see:")?;
                uses(f, instructions)?;
                f.write_str(
                    "\nOne of these helps:\
                     \n  - Most libraries have a flag to use C11 atomics or the compiler's built-in atomics instead of \
                     assembly, and the C library instead of system calls.\
                     \n  - Leave out the file, if your test does not need it.\
                     \n  - For %fs, the thread pointer, which all threads of a search share: tell threads apart by \
                     pthread_self.",
                )
            }
            Self::NoInput => {
                f.write_str("there is nothing to instrument: add a source file (Instrument::file) or an object (Instrument::object)")
            }
            Self::ToolMissing { program, source } => write!(
                f,
                "cannot run {program:?}: {source}\nInstall it (a compiler, or GNU binutils), or name another compiler \
                 (Instrument::compiler, Instrument::cxx_compiler)."
            ),
            Self::ToolFailed { program, arguments, status, stderr } => {
                write!(f, "{program:?}")?;
                arguments.iter().try_for_each(|argument| write!(f, " {argument:?}"))?;
                write!(f, " failed ({status}): {stderr}")
            }
            Self::File { path, source } => write!(f, "cannot read or write {}: {source}", path.display()),
            Self::NotAnObject { path, source } => write!(
                f,
                "{} is neither an object nor an archive for x86-64: {source}\nPass source files to Instrument::file.",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::ToolMissing { source, .. } | Self::File { source, .. } => Some(source),
            Self::NotAnObject { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

/// Whether the table of reasons (`src/symbols.rs`) names this function.
pub(crate) fn is_known(symbol: &str) -> bool {
    reason_of(symbol).is_some()
}

/// Why a function is refused when it is called, and what to do: for the report of the search that meets the call.
pub(crate) fn when_called(symbol: &str, c_library: &BTreeSet<String>) -> String {
    if is_known(symbol) || is_of_c_library(symbol, c_library) {
        format!("{} (you can replace it by a function of the same name in a file of your own)", reason(symbol))
    } else {
        "it is defined neither by the instrumented files nor by the C library (add the file that defines it: \
         Instrument::file)"
            .to_owned()
    }
}

fn unmodelled(f: &mut fmt::Formatter<'_>, symbols: &Uses) -> fmt::Result {
    write!(f, "these functions are not modelled:")?;
    // Grouped by reason: a library that opens sockets calls many functions of this group.
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (symbol, objects) in symbols {
        let (reason, text) = (reason(symbol), format!("`{symbol}` in {}", list(objects)));
        match groups.iter_mut().find(|(of_group, _)| *of_group == reason) {
            Some((_, symbols)) => symbols.push(text),
            None => groups.push((reason, vec![text])),
        }
    }
    for (reason, symbols) in groups {
        write!(f, "\n  {}: {reason}", symbols.join("; "))?;
    }
    f.write_str(
        "\nFor each of them, one of these helps:\
         \n  - Leave out the part of the code that calls it, by a flag of the library.\
         \n  - Write a function of the same name that does as much as your test needs, and add its file (Instrument::file).\
         \n  - If it neither blocks, nor keeps state, nor accesses the code's memory: Instrument::allow.\
         \n  - If your test does not call it: Instrument::refuse_when_called, or Instrument::refuse_all_when_called for all \
         of them.",
    )
}

fn uses(f: &mut fmt::Formatter<'_>, uses: &Uses) -> fmt::Result {
    uses.iter().try_for_each(|(name, places)| write!(f, "\n  `{name}` in {}", list(places)))
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
