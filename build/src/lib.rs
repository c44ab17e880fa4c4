//! For build scripts: makes C and C++ code call the model instead of the machine.
//!
//! The compiler's `-fsanitize=thread` turns every memory access and every atomic of the C code into a call; this module
//! renames those calls, and the code's own calls of pthreads and the C library, to the entry points of
//! [`latecall::model`](crate::model), and gives the code's own symbols a prefix, so that the instrumented twin lives in one
//! binary with the plain one. What the model does not know is refused by name here, before anything runs.
//!
//! The module depends on nothing but `std`, a C compiler, and binutils (`as`, `ld`, `objcopy`, `objdump`, `readelf`, `ar`): a build script
//! can use the crate as a build dependency, or include this folder with `#[path]`, as latecall's own does.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

mod locals;
mod object;
mod refused;
mod symbols;

pub use refused::{Refused, Uses};
pub use symbols::{ALLOWED, MODELLED, instrumentation};

use object::{Symbol, assembly, c_library, is_of_c_library, run, short, writable_sections};
use refused::is_known;

/// What `-fsanitize=thread` is given besides. Unwind tables let a finding leave through the C frames; `-O1` keeps the
/// accesses that the source has and drops the ones only an unoptimised build makes.
pub const COMPILER_FLAGS: &[&str] = &[
    "-fsanitize=thread",
    "-g",
    "-O1",
    "-fno-omit-frame-pointer",
    "-fexceptions",
    "-fno-stack-protector",
    "-U_FORTIFY_SOURCE",
    "-fPIC",
    // A compiler that knows library functions puts small copies in their place after it has instrumented the code, so that
    // nobody sees them, and removes pairs of malloc and free, mistakes included.
    "-fno-builtin",
];

/// In the name of what answers calls that are refused; no name in C has a dot.
const REFUSED: &str = ".refused.";

/// Variables of the C library: not functions that could be refused when they are called.
const DATA: &[&str] = &["optarg", "optind", "opterr", "timezone", "daylight", "tzname"];

/// The section that holds all writable data of instrumented code; a C identifier, so that the linker marks its bounds.
pub const DATA_SECTION: &str = "latecall_model_data";

/// Moves constructors, and what runs at the end of a process, to where the model finds them (`src/model/constructors.rs`): the
/// C library would run them before main, once, outside of any interleaving. In the order of their priorities.
const CONSTRUCTORS: &str = "\
SECTIONS
{
  latecall_model_init : { KEEP(*(SORT_BY_INIT_PRIORITY(.init_array.*))) KEEP(*(.init_array)) }
  latecall_model_fini : { KEEP(*(SORT_BY_INIT_PRIORITY(.fini_array.*))) KEEP(*(.fini_array)) }
}
INSERT AFTER .data;
";

/// What the names of the model's entry points begin with.
pub const ENTRY_PREFIX: &str = "latecall_model_";

/// Instruments a list of C and C++ files, or existing objects and archives, into one static library.
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
    name: String,
    compiler: PathBuf,
    cxx_compiler: PathBuf,
    flags: Vec<String>,
    c_flags: Vec<String>,
    cxx_flags: Vec<String>,
    files: Vec<PathBuf>,
    objects: Vec<PathBuf>,
    allowed: BTreeSet<String>,
    /// Refused when they are called, and not before.
    deferred: BTreeSet<String>,
    defers_all: bool,
}

impl Instrument {
    /// A library called `name`, which is also the prefix of its symbols.
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

    /// The compiler for C: gcc or clang. Otherwise `$CC`, otherwise `cc`.
    #[must_use]
    pub fn compiler(mut self, path: impl Into<PathBuf>) -> Self {
        self.compiler = path.into();
        self
    }

    /// The compiler for C++: g++ or clang. Otherwise `$CXX`, otherwise `c++`.
    #[must_use]
    pub fn cxx_compiler(mut self, path: impl Into<PathBuf>) -> Self {
        self.cxx_compiler = path.into();
        self
    }

    /// Another flag for the compilers.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Another flag for C only, `-std=c11` for one.
    #[must_use]
    pub fn c_flag(mut self, flag: &str) -> Self {
        self.c_flags.push(flag.to_owned());
        self
    }

    /// Another flag for C++ only.
    #[must_use]
    pub fn cxx_flag(mut self, flag: &str) -> Self {
        self.cxx_flags.push(flag.to_owned());
        self
    }

    /// A folder with headers.
    #[must_use]
    pub fn include(self, folder: impl AsRef<Path>) -> Self {
        let flag = format!("-I{}", folder.as_ref().display());
        self.flag(&flag)
    }

    /// A source file: C, or C++ where the name ends in `.cc`, `.cpp` or `.cxx`.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Source files, as [`Self::file`].
    #[must_use]
    pub fn files<P: Into<PathBuf>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.files.extend(paths.into_iter().map(Into::into));
        self
    }

    /// An object or archive that was compiled with [`COMPILER_FLAGS`] (of which the first is what matters).
    #[must_use]
    pub fn object(mut self, path: impl Into<PathBuf>) -> Self {
        self.objects.push(path.into());
        self
    }

    /// Lets the code call the real `symbol`: for functions that neither block nor keep state. The model sees nothing of it.
    #[must_use]
    pub fn allow(mut self, symbol: &str) -> Self {
        self.allowed.insert(symbol.to_owned());
        self
    }

    /// Refuses `symbol` when the code calls it, and not because the code could: the search that meets such a call is bounded
    /// by it. For libraries of which a test uses a part.
    #[must_use]
    pub fn refuse_when_called(mut self, symbol: &str) -> Self {
        self.deferred.insert(symbol.to_owned());
        self
    }

    /// As [`Self::refuse_when_called`], for every function that the model does not know.
    #[must_use]
    pub fn refuse_all_when_called(mut self) -> Self {
        self.defers_all = true;
        self
    }

    /// Builds into cargo's `OUT_DIR` and tells cargo to link the result.
    ///
    /// # Panics
    ///
    /// With the reason, when the code cannot be put under the model, or outside a build script.
    pub fn link(&self) {
        let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("Instrument::link is for build scripts"));
        for file in self.files.iter().chain(&self.objects) {
            println!("cargo::rerun-if-changed={}", file.display());
        }
        if let Err(refused) = self.build(&out) {
            panic!("{}: {refused}", self.name);
        }
        println!("cargo::rustc-link-search=native={}", out.display());
        println!("cargo::rustc-link-lib=static={}", self.name);
        if self.files.iter().any(|file| is_cxx(file)) {
            // For what exceptions and classes need; after the archive, which refers to it.
            println!("cargo::rustc-link-lib=stdc++");
        }
    }

    /// Builds `lib<name>.a` in the folder `out`, and answers its path.
    ///
    /// # Errors
    ///
    /// Says what cannot be modelled, and where it is used, or which tool failed.
    pub fn build(&self, out: &Path) -> Result<PathBuf, Refused> {
        let folder = out.join(format!("{}.instrumented", self.name));
        std::fs::create_dir_all(&folder).map_err(|error| Refused::Tool(format!("{}: {error}", folder.display())))?;
        let mut inputs = Vec::new();
        for (number, file) in self.files.iter().enumerate() {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let object = folder.join(format!("{number}.{stem}.o"));
            self.compile(file, &object)?;
            inputs.push(object);
        }
        inputs.extend(self.objects.iter().cloned());
        if inputs.is_empty() {
            return Err(Refused::Nothing);
        }

        let symbols = self.read(&inputs)?;
        let renamed = folder.join("symbols");
        let renames = self.renames(&symbols)?;
        let lines: String = renames.iter().map(|(from, to)| format!("{from} {to}\n")).collect();
        std::fs::write(&renamed, lines).map_err(|error| Refused::Tool(format!("{}: {error}", renamed.display())))?;

        for input in &inputs {
            let found = assembly(input)?;
            if !found.is_empty() {
                return Err(Refused::Assembly(found));
            }
        }
        let whole = folder.join("whole.o");
        let script = folder.join("constructors.ld");
        std::fs::write(&script, CONSTRUCTORS)
            .map_err(|error| Refused::Tool(format!("{}: {error}", script.display())))?;
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
        let _ = std::fs::remove_file(&archive);
        let mut pack = Command::new("ar");
        pack.arg("rcs").arg(&archive).arg(&object);
        if let Some(refusals) = self.refusals(&renames, &folder)? {
            pack.arg(refusals);
        }
        run(&mut pack)?;
        Ok(archive)
    }

    /// What answers the calls of functions that are refused when they are called: tells the model which one it was, and why.
    fn refusals(&self, renames: &BTreeMap<String, String>, folder: &Path) -> Result<Option<PathBuf>, Refused> {
        let mut source = String::from(".text\n");
        let c_library = LazyCell::new(|| c_library(&self.compiler));
        for (name, to) in renames.iter().filter(|(_, to)| to.starts_with(&format!("{}{REFUSED}", self.name))) {
            let why = refused::when_called(name, &c_library);
            // A jump: the model is called as if by the C code, and sees its place there.
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
        std::fs::write(&file, source).map_err(|error| Refused::Tool(format!("{}: {error}", file.display())))?;
        run(Command::new("as").arg("-o").arg(&object).arg(&file))?;
        Ok(Some(object))
    }

    fn compile(&self, file: &Path, object: &Path) -> Result<(), Refused> {
        let (compiler, flags) =
            if is_cxx(file) { (&self.cxx_compiler, &self.cxx_flags) } else { (&self.compiler, &self.c_flags) };
        // Both tell volatile accesses apart only when asked, each in its own way. Clang can turn thread-local variables into
        // calls as well, which the model answers; what gcc makes of them is changed below.
        let version = run(Command::new(compiler).arg("--version"))?;
        let is_clang = version.contains("clang");
        let own: &[&str] = if is_clang {
            &["-mllvm", "-tsan-distinguish-volatile=1", "-femulated-tls"]
        } else {
            &["--param", "tsan-distinguish-volatile=1"]
        };
        let command = |step: &[&str], from: &Path, to: &Path| {
            let mut command = Command::new(compiler);
            if is_cxx(file) && !is_clang {
                // As -fno-builtin does for malloc: otherwise g++ removes pairs of new and delete, mistakes included.
                command.arg("-fno-allocation-dce");
            }
            command.args(COMPILER_FLAGS).args(own).args(&self.flags).args(flags).args(step).arg(from).arg("-o").arg(to);
            command
        };
        run(&mut command(&["-c"], file, object))?;
        if !is_clang && self.read(&[object.to_owned()])?.iter().any(|symbol| symbol.thread_local) {
            let preprocessed = object.with_extension(if is_cxx(file) { "ii" } else { "i" });
            let assembly = object.with_extension("s");
            run(&mut command(&["-E"], file, &preprocessed))?;
            let at = |path: &Path, error: std::io::Error| Refused::Tool(format!("{}: {error}", path.display()));
            let source = std::fs::read(&preprocessed).map_err(|error| at(&preprocessed, error))?;
            std::fs::write(&preprocessed, locals::general_dynamic(&source))
                .map_err(|error| at(&preprocessed, error))?;
            let steps = [locals::FLAGS, &["-S"]].concat();
            run(&mut command(&steps, &preprocessed, &assembly))?;
            let text = std::fs::read(&assembly).map_err(|error| at(&assembly, error))?;
            // Otherwise the object keeps its thread-local variables, and is refused with their names.
            if let Some(text) = std::str::from_utf8(&text).ok().and_then(locals::emulated) {
                std::fs::write(&assembly, text).map_err(|error| at(&assembly, error))?;
                run(Command::new(compiler).arg("-c").arg(&assembly).arg("-o").arg(object))?;
            }
        }
        Ok(())
    }

    fn read(&self, inputs: &[PathBuf]) -> Result<Vec<Symbol>, Refused> {
        let mut symbols = Vec::new();
        for input in inputs {
            let mut object = short(input);
            for line in run(Command::new("readelf").args(["-sW"]).arg(input))?.lines() {
                if let Some(member) = line.strip_prefix("File: ") {
                    object = short(Path::new(member.trim()));
                } else if let Some(symbol) = Symbol::parse(line, &object) {
                    symbols.push(symbol);
                }
            }
        }
        Ok(symbols)
    }

    fn renames(&self, symbols: &[Symbol]) -> Result<BTreeMap<String, String>, Refused> {
        let defined: BTreeSet<&str> = symbols
            .iter()
            .filter(|symbol| symbol.defined && symbol.global)
            .map(|symbol| symbol.name.as_str())
            .collect();
        let required: BTreeSet<&str> =
            symbols.iter().filter(|symbol| !symbol.weak).map(|symbol| symbol.name.as_str()).collect();
        let c_library = LazyCell::new(|| c_library(&self.compiler));
        let of_c_library = |name: &str| is_of_c_library(name, &c_library);
        let provided: BTreeSet<String> =
            MODELLED.iter().map(|&name| name.to_owned()).chain(instrumentation()).collect();
        let mut renames = BTreeMap::new();
        let mut unmodelled = BTreeMap::<String, BTreeSet<String>>::new();
        let mut locals = BTreeMap::<String, BTreeSet<String>>::new();
        let mut with_code = BTreeSet::new();
        let mut instrumented = BTreeSet::new();
        for symbol in symbols {
            let name = symbol.name.as_str();
            if symbol.thread_local {
                locals.entry(symbol.name.clone()).or_default().insert(symbol.object.clone());
            }
            if symbol.defined && symbol.function {
                with_code.insert(symbol.object.clone());
            }
            if name.starts_with("__tsan_") {
                instrumented.insert(symbol.object.clone());
            }
            if defined.contains(name) {
                if symbol.global && !name.starts_with("DW.ref.") {
                    renames.insert(symbol.name.clone(), format!("{}_{name}", self.name));
                }
            } else if !symbol.global || symbol.defined {
                // Nobody else's business.
            } else if provided.contains(name) {
                renames.insert(symbol.name.clone(), format!("{ENTRY_PREFIX}{name}"));
            } else if self.allowed.contains(name) {
                // It stays what it is.
            } else if !self.deferred.contains(name)
                && !required.contains(name)
                && !is_known(name)
                && !of_c_library(name)
            {
                // A hook that is called where it is there. Under a name that nobody has, it is not: its address is null.
                renames.insert(symbol.name.clone(), format!("{}_{name}", self.name));
            } else if self.deferred.contains(name) || (self.defers_all && !DATA.contains(&name)) {
                renames.insert(symbol.name.clone(), format!("{}{REFUSED}{name}", self.name));
            } else {
                unmodelled.entry(symbol.name.clone()).or_default().insert(symbol.object.clone());
            }
        }
        let blind: BTreeSet<String> = with_code.difference(&instrumented).cloned().collect();
        if !blind.is_empty() {
            return Err(Refused::NotInstrumented(blind));
        }
        if !locals.is_empty() {
            return Err(Refused::ThreadLocal(locals));
        }
        if !unmodelled.is_empty() {
            let (unmodelled, undefined): (Uses, Uses) =
                unmodelled.into_iter().partition(|(name, _)| of_c_library(name) || is_known(name));
            if !undefined.is_empty() {
                return Err(Refused::Undefined { undefined, unmodelled });
            }
            return Err(Refused::Unmodelled(unmodelled));
        }
        Ok(renames)
    }
}

fn is_cxx(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "cc" || extension == "cpp" || extension == "cxx")
}
