//! The builder that a build script uses.

use crate::objects::{c_library, symbols, writable_sections};
use crate::tools::{create_folder, run, write};
use crate::{ALLOWED, DATA_SECTION, ENTRY_PREFIX, Error, assembly, error};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A linker script that collects constructors and destructors, ordered by priority, where `src/constructors.rs` of
/// `latecall-explore` finds them. The C library would run them once, before `main`, outside of every interleaving.
const CONSTRUCTORS: &str = "\
SECTIONS
{
  latecall_model_init : { KEEP(*(SORT_BY_INIT_PRIORITY(.init_array.*))) KEEP(*(.init_array)) }
  latecall_model_fini : { KEEP(*(SORT_BY_INIT_PRIORITY(.fini_array.*))) KEEP(*(.fini_array)) }
}
INSERT AFTER .data;
";

/// Instruments a list of C and C++ files, or existing objects and archives, and makes one static library of them.
///
/// ```no_run
/// // build.rs
/// latecall_build::Instrument::new("model_mylib")
///     .include("vendor/mylib/include")
///     .file("vendor/mylib/src/mylib.c")
///     .link();
/// ```
///
/// The tests then declare `model_mylib_open` where the header has `open`: the prefix is the name and an underscore.
#[derive(Debug, Clone)]
pub struct Instrument {
    pub(crate) name: String,
    pub(crate) compiler: PathBuf,
    pub(crate) cxx_compiler: PathBuf,
    pub(crate) flags: Vec<String>,
    pub(crate) c_flags: Vec<String>,
    pub(crate) cxx_flags: Vec<String>,
    files: Vec<PathBuf>,
    objects: Vec<PathBuf>,
    pub(crate) allowed: BTreeSet<String>,
    /// Functions that are refused when the code calls them, and not already by the build.
    pub(crate) deferred: BTreeSet<String>,
    pub(crate) defers_all: bool,
}

impl Instrument {
    /// A library called `name`. Its symbols get the prefix `name` and an underscore.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            compiler: std::env::var_os("CC").map_or_else(|| PathBuf::from("cc"), PathBuf::from),
            cxx_compiler: std::env::var_os("CXX").map_or_else(|| PathBuf::from("c++"), PathBuf::from),
            flags: Vec::new(),
            c_flags: Vec::new(),
            cxx_flags: Vec::new(),
            files: Vec::new(),
            objects: Vec::new(),
            allowed: ALLOWED.iter().map(|&name| name.to_owned()).collect(),
            deferred: BTreeSet::new(),
            defers_all: false,
        }
    }

    /// Sets the compiler for C: gcc or clang. The default is `$CC`, or else `cc`.
    #[must_use]
    pub fn compiler(mut self, path: impl Into<PathBuf>) -> Self {
        self.compiler = path.into();
        self
    }

    /// Sets the compiler for C++: g++ or clang++. The default is `$CXX`, or else `c++`.
    #[must_use]
    pub fn cxx_compiler(mut self, path: impl Into<PathBuf>) -> Self {
        self.cxx_compiler = path.into();
        self
    }

    /// Adds a flag for both compilers.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Adds a flag for C only, for example `-std=c11`.
    #[must_use]
    pub fn c_flag(mut self, flag: &str) -> Self {
        self.c_flags.push(flag.to_owned());
        self
    }

    /// Adds a flag for C++ only.
    #[must_use]
    pub fn cxx_flag(mut self, flag: &str) -> Self {
        self.cxx_flags.push(flag.to_owned());
        self
    }

    /// Adds a folder with headers.
    #[must_use]
    pub fn include(self, folder: impl AsRef<Path>) -> Self {
        let flag = format!("-I{}", folder.as_ref().display());
        self.flag(&flag)
    }

    /// Adds a source file. It is C++ if its name ends in `.cc`, `.cpp` or `.cxx`, and C otherwise.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Adds source files; see [`Self::file`].
    #[must_use]
    pub fn files<P: Into<PathBuf>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.files.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Adds an object or archive that was compiled with [`COMPILER_FLAGS`](crate::COMPILER_FLAGS).
    #[must_use]
    pub fn object(mut self, path: impl Into<PathBuf>) -> Self {
        self.objects.push(path.into());
        self
    }

    /// Lets the code call the real function `symbol`. The explorer does not see the call, so allow only functions that
    /// neither block, nor keep state between calls, nor access the code's memory.
    #[must_use]
    pub fn allow(mut self, symbol: &str) -> Self {
        self.allowed.insert(symbol.to_owned());
        self
    }

    /// Builds although the code refers to the function `symbol`, which is not modelled. A search in which the code
    /// calls the function ends there, as bounded by this call. Use it for libraries of which a test needs only a part.
    #[must_use]
    pub fn refuse_when_called(mut self, symbol: &str) -> Self {
        self.deferred.insert(symbol.to_owned());
        self
    }

    /// Does what [`Self::refuse_when_called`] does, for every function that is not modelled.
    #[must_use]
    pub fn refuse_all_when_called(mut self) -> Self {
        self.defers_all = true;
        self
    }

    /// Builds into cargo's `OUT_DIR`, and tells cargo to link the library.
    ///
    /// # Panics
    ///
    /// With the [`Error`] of [`Self::build`], and outside of a build script.
    pub fn link(&self) {
        let out = std::env::var_os("OUT_DIR").expect(
            "OUT_DIR is not set: Instrument::link works in build scripts only (elsewhere, use Instrument::build)",
        );
        let out = PathBuf::from(out);
        for file in self.files.iter().chain(&self.objects) {
            println!("cargo::rerun-if-changed={}", file.display());
        }
        if let Err(error) = self.build(&out) {
            panic!("cannot instrument `{}`: {error}", self.name);
        }
        println!("cargo::rustc-link-search=native={}", out.display());
        println!("cargo::rustc-link-lib=static={}", self.name);
        if self.files.iter().any(|file| is_cxx(file)) {
            // After the archive, which refers to the C++ library's support for exceptions and classes.
            println!("cargo::rustc-link-lib=stdc++");
        }
    }

    /// Builds `lib<name>.a` in the folder `out`, and returns its path.
    ///
    /// # Errors
    ///
    /// If the code uses what the explorer does not support, if a tool fails, or if a file cannot be read or written.
    pub fn build(&self, out: &Path) -> Result<PathBuf, Error> {
        let folder = out.join(format!("{}.instrumented", self.name));
        create_folder(&folder)?;
        let mut inputs = Vec::new();
        for (number, file) in self.files.iter().enumerate() {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let object = folder.join(format!("{number}.{stem}.o"));
            self.compile(file, &object)?;
            inputs.push(object);
        }
        inputs.extend(self.objects.iter().cloned());
        if inputs.is_empty() {
            return Err(Error::NoInput);
        }

        let mut all_symbols = Vec::new();
        for input in &inputs {
            all_symbols.extend(symbols(input)?);
        }
        let renames = self.renames(&all_symbols)?;
        let renamed = folder.join("symbols");
        write(&renamed, renames.iter().map(|(from, to)| format!("{from} {to}\n")).collect::<String>())?;

        for input in &inputs {
            let found = assembly::uninstrumented_instructions(input)?;
            if !found.is_empty() {
                return Err(Error::Assembly(found));
            }
        }
        let whole = folder.join("whole.o");
        let script = folder.join("constructors.ld");
        write(&script, CONSTRUCTORS)?;
        run(Command::new("ld")
            .args(["-r", "-d", "-o"])
            .arg(&whole)
            .arg("-T")
            .arg(&script)
            .arg("--whole-archive")
            .args(&inputs))?;
        let object = folder.join("renamed.o");
        let mut rename = Command::new("objcopy");
        rename.arg(format!("--redefine-syms={}", renamed.display()));
        for section in writable_sections(&whole)? {
            rename.arg(format!("--rename-section={section}={DATA_SECTION},alloc,load,data,contents"));
        }
        run(rename.arg(&whole).arg(&object))?;

        let archive = out.join(format!("lib{}.a", self.name));
        // `ar` would add to an archive of an earlier build.
        let _ = std::fs::remove_file(&archive);
        let mut pack = Command::new("ar");
        pack.arg("rcs").arg(&archive).arg(&object);
        if let Some(stubs) = self.stubs(&renames, &folder)? {
            pack.arg(stubs);
        }
        run(&mut pack)?;
        Ok(archive)
    }

    /// Builds an object with a stub for each function that is refused when it is called. The stub passes the function's
    /// name, and why it is refused, to the entry point `__refused` of `latecall-explore`.
    fn stubs(&self, renames: &BTreeMap<String, String>, folder: &Path) -> Result<Option<PathBuf>, Error> {
        let mut source = String::from(".text\n");
        let c_library = LazyCell::new(|| c_library(&self.compiler));
        for (name, to) in renames.iter().filter(|(_, to)| to.starts_with(&self.stub_prefix())) {
            let why = error::when_called(name, &c_library);
            // A jump, not a call: the return address stays the one in the C code, and so a finding names that place.
            source.push_str(&format!(
                ".globl {to}\n.type {to}, @function\n{to}:\nleaq 1f(%rip), %rdi\nleaq 2f(%rip), %rsi\n\
                 jmp {ENTRY_PREFIX}__refused\n1: .asciz \"{name}\"\n2: .asciz \"{why}\"\n"
            ));
        }
        if !source.contains(".globl") {
            return Ok(None);
        }
        source.push_str(".section .note.GNU-stack,\"\",@progbits\n");
        let (file, object) = (folder.join("refused.s"), folder.join("refused.o"));
        write(&file, source)?;
        run(Command::new("as").arg("-o").arg(&object).arg(&file))?;
        Ok(Some(object))
    }
}

pub(crate) fn is_cxx(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "cc" || extension == "cpp" || extension == "cxx")
}
