//! For build scripts: makes C code call the model instead of the machine.
//!
//! The compiler's `-fsanitize=thread` turns every memory access and every atomic of the C code into a call; this module
//! renames those calls, and the code's own calls of pthreads and the C library, to the entry points of
//! [`latecall::model`](crate::model), and gives the code's own symbols a prefix, so that the instrumented twin lives in one
//! binary with the plain one. What the model does not know is refused by name here, before anything runs.
//!
//! The module depends on nothing but `std`, a C compiler, and binutils (`ld`, `objcopy`, `readelf`, `ar`): a build script
//! can use the crate as a build dependency, or include this file with `#[path]`, as latecall's own does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The section that holds all writable data of instrumented code; a C identifier, so that the linker marks its bounds.
pub const DATA_SECTION: &str = "latecall_model_data";

/// What the names of the model's entry points begin with.
pub const ENTRY_PREFIX: &str = "latecall_model_";

/// Functions that may stay what they are: they neither block nor keep anything between interleavings. The model does not
/// watch the memory that they touch.
pub const ALLOWED: &[&str] = &[
    "_GLOBAL_OFFSET_TABLE_",
    "_Unwind_Resume",
    "__gcc_personality_v0",
    "__stack_chk_fail",
    "__ctype_b_loc",
    "__ctype_tolower_loc",
    "__ctype_toupper_loc",
    "abs",
    "labs",
    "llabs",
    "isalnum",
    "isalpha",
    "isdigit",
    "islower",
    "isprint",
    "ispunct",
    "isspace",
    "isupper",
    "isxdigit",
    "tolower",
    "toupper",
    "snprintf",
    "vsnprintf",
    "sprintf",
    "printf",
    "fprintf",
    "puts",
    "putchar",
    "fputs",
    "fputc",
    "fwrite",
    "fflush",
    "stdout",
    "stderr",
    "strtol",
    "strtoul",
    "strtoll",
    "strtoull",
    "__isoc99_sscanf",
    "sscanf",
    "atoi",
    "atol",
    "qsort",
    "bsearch",
    "div",
    "ldiv",
    "strerror",
    "strpbrk",
    "strspn",
    "strcspn",
    "strstr",
    "strcasecmp",
    "strncasecmp",
    "floor",
    "ceil",
    "sqrt",
    "pow",
    "fmod",
    "log",
    "exp",
    "getenv",
    "getpid",
    "getpagesize",
    "pthread_attr_init",
    "pthread_attr_destroy",
    "pthread_attr_setdetachstate",
    "pthread_attr_setstacksize",
    "pthread_attr_getstacksize",
];

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

/// Instruments a list of C files, or existing objects and archives, into one static library.
///
/// ```no_run
/// // build.rs
/// latecall::model::instrument::Instrument::new("model_mylib")
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
    flags: Vec<String>,
    files: Vec<PathBuf>,
    objects: Vec<PathBuf>,
    allowed: BTreeSet<String>,
}

impl Instrument {
    /// A library called `name`, which is also the prefix of its symbols.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            compiler: std::env::var_os("CC").map_or_else(|| PathBuf::from("cc"), PathBuf::from),
            flags: Vec::new(),
            files: Vec::new(),
            objects: Vec::new(),
            allowed: ALLOWED.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// The compiler: gcc or clang. Otherwise `$CC`, otherwise `cc`.
    #[must_use]
    pub fn compiler(mut self, path: impl Into<PathBuf>) -> Self {
        self.compiler = path.into();
        self
    }

    /// Another flag for the compiler.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// A folder with headers.
    #[must_use]
    pub fn include(self, folder: impl AsRef<Path>) -> Self {
        let flag = format!("-I{}", folder.as_ref().display());
        self.flag(&flag)
    }

    /// A C source file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// C source files.
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

        let symbols = self.read(&inputs)?;
        let renamed = folder.join("symbols");
        let lines: String = self.renames(&symbols)?.iter().map(|(from, to)| format!("{from} {to}\n")).collect();
        std::fs::write(&renamed, lines).map_err(|error| Refused::Tool(format!("{}: {error}", renamed.display())))?;

        let whole = folder.join("whole.o");
        run(Command::new("ld").args(["-r", "-d", "-o"]).arg(&whole).arg("--whole-archive").args(&inputs))?;
        let object = folder.join("renamed.o");
        let mut rename = Command::new("objcopy");
        rename.arg(format!("--redefine-syms={}", renamed.display()));
        for section in writable_sections(&whole)? {
            rename.arg(format!("--rename-section={section}={DATA_SECTION},alloc,load,data,contents"));
        }
        run(rename.arg(&whole).arg(&object))?;

        let archive = out.join(format!("lib{}.a", self.name));
        let _ = std::fs::remove_file(&archive);
        run(Command::new("ar").arg("rcs").arg(&archive).arg(&object))?;
        Ok(archive)
    }

    fn compile(&self, file: &Path, object: &Path) -> Result<(), Refused> {
        // gcc tells volatile accesses apart only when asked in its way, and clang only in clang's.
        let version = run(Command::new(&self.compiler).arg("--version"))?;
        let volatile: &[&str] = if version.contains("clang") {
            &["-mllvm", "-tsan-distinguish-volatile=1"]
        } else {
            &["--param", "tsan-distinguish-volatile=1"]
        };
        let mut command = Command::new(&self.compiler);
        command.args(COMPILER_FLAGS).args(volatile).args(&self.flags).arg("-c").arg(file).arg("-o").arg(object);
        run(&mut command).map(drop)
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
            } else if MODELLED.contains(&name) {
                renames.insert(symbol.name.clone(), format!("{ENTRY_PREFIX}{name}"));
            } else if !self.allowed.contains(name) {
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
            return Err(Refused::Unmodelled(unmodelled));
        }
        Ok(renames)
    }
}

/// A line of an object's symbol table.
struct Symbol {
    name: String,
    object: String,
    defined: bool,
    global: bool,
    function: bool,
    thread_local: bool,
}

impl Symbol {
    /// `readelf -sW`: number, value, size, type, binding, visibility, section, name.
    fn parse(line: &str, object: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[number, _, _, kind, binding, _, section, name, ..] = fields.as_slice() else { return None };
        number.strip_suffix(':')?.parse::<usize>().ok()?;
        Some(Self {
            name: name.to_owned(),
            object: object.to_owned(),
            defined: section != "UND",
            global: binding != "LOCAL",
            function: kind == "FUNC",
            thread_local: kind == "TLS",
        })
    }
}

/// The sections of an object that running code may write.
fn writable_sections(object: &Path) -> Result<BTreeSet<String>, Refused> {
    let mut sections = BTreeSet::new();
    for line in run(Command::new("readelf").arg("-SW").arg(object))?.lines() {
        // "  [ 5] .data PROGBITS 0000000000000000 000890 000010 00  WA  0   0 16"
        let Some((_, rest)) = line.split_once(']') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let &[name, _, _, _, _, _, flags, ..] = fields.as_slice() else { continue };
        let kept = [".data.rel.ro", ".init_array", ".fini_array", ".ctors", ".dtors", ".tm_clone_table"];
        let writable = flags.contains('W') && flags.contains('A') && !flags.contains('T') && !flags.contains('G');
        if writable && !kept.iter().any(|kept| name.starts_with(kept)) {
            sections.insert(name.to_owned());
        }
    }
    Ok(sections)
}

fn short(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn run(command: &mut Command) -> Result<String, Refused> {
    let output = command
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| Refused::Tool(format!("cannot run {:?}: {error}", command.get_program())))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Refused::Tool(format!("{command:?} failed ({}): {errors}", output.status)))
    }
}

/// Every symbol that the model provides; the entry point of `x` is [`ENTRY_PREFIX`]`x`.
#[rustfmt::skip]
pub const MODELLED: &[&str] = &[
    "malloc", "calloc", "realloc", "free", "aligned_alloc", "memalign", "posix_memalign", "memcpy", "memmove",
    "memset", "memcmp", "memchr", "__tsan_memcpy", "__tsan_memmove", "__tsan_memset", "strlen", "strnlen", "strcmp",
    "strncmp", "strchr", "strrchr", "strcpy", "strncpy", "strcat", "strdup", "strndup", "__tsan_init",
    "__tsan_func_entry", "__tsan_func_exit", "__tsan_read1", "__tsan_write1", "__tsan_read_write1",
    "__tsan_volatile_read1", "__tsan_volatile_write1", "__tsan_read2", "__tsan_write2", "__tsan_read_write2",
    "__tsan_unaligned_read2", "__tsan_unaligned_write2", "__tsan_unaligned_read_write2", "__tsan_volatile_read2",
    "__tsan_volatile_write2", "__tsan_unaligned_volatile_read2", "__tsan_unaligned_volatile_write2", "__tsan_read4",
    "__tsan_write4", "__tsan_read_write4", "__tsan_unaligned_read4", "__tsan_unaligned_write4",
    "__tsan_unaligned_read_write4", "__tsan_volatile_read4", "__tsan_volatile_write4",
    "__tsan_unaligned_volatile_read4", "__tsan_unaligned_volatile_write4", "__tsan_read8", "__tsan_write8",
    "__tsan_read_write8", "__tsan_unaligned_read8", "__tsan_unaligned_write8", "__tsan_unaligned_read_write8",
    "__tsan_volatile_read8", "__tsan_volatile_write8", "__tsan_unaligned_volatile_read8",
    "__tsan_unaligned_volatile_write8", "__tsan_read16", "__tsan_write16", "__tsan_read_write16",
    "__tsan_unaligned_read16", "__tsan_unaligned_write16", "__tsan_unaligned_read_write16", "__tsan_volatile_read16",
    "__tsan_volatile_write16", "__tsan_unaligned_volatile_read16", "__tsan_unaligned_volatile_write16",
    "__tsan_read_range", "__tsan_write_range", "__tsan_vptr_update", "__tsan_vptr_read", "__tsan_atomic8_load",
    "__tsan_atomic8_store", "__tsan_atomic8_exchange", "__tsan_atomic8_fetch_add", "__tsan_atomic8_fetch_sub",
    "__tsan_atomic8_fetch_and", "__tsan_atomic8_fetch_or", "__tsan_atomic8_fetch_xor", "__tsan_atomic8_fetch_nand",
    "__tsan_atomic8_compare_exchange_strong", "__tsan_atomic8_compare_exchange_weak",
    "__tsan_atomic8_compare_exchange_val", "__tsan_atomic16_load", "__tsan_atomic16_store",
    "__tsan_atomic16_exchange", "__tsan_atomic16_fetch_add", "__tsan_atomic16_fetch_sub", "__tsan_atomic16_fetch_and",
    "__tsan_atomic16_fetch_or", "__tsan_atomic16_fetch_xor", "__tsan_atomic16_fetch_nand",
    "__tsan_atomic16_compare_exchange_strong", "__tsan_atomic16_compare_exchange_weak",
    "__tsan_atomic16_compare_exchange_val", "__tsan_atomic32_load", "__tsan_atomic32_store",
    "__tsan_atomic32_exchange", "__tsan_atomic32_fetch_add", "__tsan_atomic32_fetch_sub", "__tsan_atomic32_fetch_and",
    "__tsan_atomic32_fetch_or", "__tsan_atomic32_fetch_xor", "__tsan_atomic32_fetch_nand",
    "__tsan_atomic32_compare_exchange_strong", "__tsan_atomic32_compare_exchange_weak",
    "__tsan_atomic32_compare_exchange_val", "__tsan_atomic64_load", "__tsan_atomic64_store",
    "__tsan_atomic64_exchange", "__tsan_atomic64_fetch_add", "__tsan_atomic64_fetch_sub", "__tsan_atomic64_fetch_and",
    "__tsan_atomic64_fetch_or", "__tsan_atomic64_fetch_xor", "__tsan_atomic64_fetch_nand",
    "__tsan_atomic64_compare_exchange_strong", "__tsan_atomic64_compare_exchange_weak",
    "__tsan_atomic64_compare_exchange_val", "__tsan_atomic128_load", "__tsan_atomic128_store",
    "__tsan_atomic128_exchange", "__tsan_atomic128_fetch_add", "__tsan_atomic128_fetch_sub",
    "__tsan_atomic128_fetch_and", "__tsan_atomic128_fetch_or", "__tsan_atomic128_fetch_xor",
    "__tsan_atomic128_fetch_nand", "__tsan_atomic128_compare_exchange_strong",
    "__tsan_atomic128_compare_exchange_weak", "__tsan_atomic128_compare_exchange_val", "__tsan_atomic_thread_fence",
    "__tsan_atomic_signal_fence", "pthread_mutex_init", "pthread_mutex_destroy", "pthread_mutex_lock",
    "pthread_mutex_trylock", "pthread_mutex_timedlock", "pthread_mutex_clocklock", "pthread_mutex_unlock",
    "pthread_mutexattr_init", "pthread_mutexattr_destroy", "pthread_mutexattr_settype", "pthread_mutexattr_gettype",
    "pthread_cond_init", "pthread_cond_destroy", "pthread_cond_wait", "pthread_cond_timedwait",
    "pthread_cond_clockwait", "pthread_cond_signal", "pthread_cond_broadcast", "pthread_condattr_init",
    "pthread_condattr_destroy", "pthread_condattr_setclock", "pthread_rwlock_init", "pthread_rwlock_destroy",
    "pthread_rwlock_rdlock", "pthread_rwlock_wrlock", "pthread_rwlock_tryrdlock", "pthread_rwlock_trywrlock",
    "pthread_rwlock_timedrdlock", "pthread_rwlock_timedwrlock", "pthread_rwlock_unlock", "pthread_spin_init",
    "pthread_spin_destroy", "pthread_spin_lock", "pthread_spin_trylock", "pthread_spin_unlock",
    "pthread_barrier_init", "pthread_barrier_destroy", "pthread_barrier_wait", "pthread_once", "sem_init",
    "sem_destroy", "sem_wait", "sem_trywait", "sem_timedwait", "sem_post", "sem_getvalue", "pthread_create",
    "pthread_join", "pthread_detach", "pthread_exit", "pthread_self", "pthread_equal", "pthread_key_create",
    "pthread_key_delete", "pthread_setspecific", "pthread_getspecific", "sched_yield", "pthread_yield", "sleep",
    "usleep", "nanosleep", "clock_nanosleep", "clock_gettime", "gettimeofday", "timespec_get", "time",
    "__errno_location", "atexit", "abort", "__assert_fail", "mtx_init", "mtx_lock", "mtx_trylock", "mtx_timedlock",
    "mtx_unlock", "mtx_destroy", "cnd_init", "cnd_destroy", "cnd_wait", "cnd_timedwait", "cnd_signal",
    "cnd_broadcast", "thrd_create", "thrd_join", "thrd_detach", "thrd_exit", "thrd_current", "thrd_equal",
    "thrd_yield", "thrd_sleep", "call_once", "tss_create", "tss_delete", "tss_get", "tss_set",
];
