//! What binutils tell about an object, and running them.

use super::{Refused, Uses};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A line of an object's symbol table.
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) object: String,
    pub(super) defined: bool,
    pub(super) global: bool,
    pub(super) weak: bool,
    pub(super) function: bool,
    pub(super) thread_local: bool,
}

impl Symbol {
    /// `readelf -sW`: number, value, size, type, binding, visibility, section, name.
    pub(super) fn parse(line: &str, object: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[number, _, _, kind, binding, _, section, name, ..] = fields.as_slice() else { return None };
        number.strip_suffix(':')?.parse::<usize>().ok()?;
        Some(Self {
            name: name.to_owned(),
            object: object.to_owned(),
            defined: section != "UND",
            global: binding != "LOCAL",
            weak: binding == "WEAK",
            function: kind == "FUNC",
            thread_local: kind == "TLS",
        })
    }
}

/// The sections of an object that running code may write.
pub(super) fn writable_sections(object: &Path) -> Result<BTreeSet<String>, Refused> {
    let mut sections = BTreeSet::new();
    for line in run(Command::new("readelf").arg("-SW").arg(object))?.lines() {
        // "  [ 5] .data PROGBITS 0000000000000000 000890 000010 00  WA  0   0 16"
        let Some((_, rest)) = line.split_once(']') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let &[name, _, _, _, _, _, flags, ..] = fields.as_slice() else { continue };
        let kept =
            [".data.rel.ro", "latecall_model_init", "latecall_model_fini", ".ctors", ".dtors", ".tm_clone_table"];
        let writable = flags.contains('W') && flags.contains('A') && !flags.contains('T') && !flags.contains('G');
        if writable && !kept.iter().any(|kept| name.starts_with(kept)) {
            sections.insert(name.to_owned());
        }
    }
    Ok(sections)
}

/// Instructions that the compiler never makes of instrumented code, each with the functions that have it: atomics and
/// fences are calls there, and thread-local variables too, so these come from assembly.
pub(super) fn assembly(object: &Path) -> Result<Uses, Refused> {
    let mut found = Uses::new();
    let mut function = String::from("?");
    for line in run(Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(object))?.lines() {
        if let Some(name) = line.strip_suffix(">:").and_then(|line| line.split_once('<')) {
            name.1.clone_into(&mut function);
            continue;
        }
        // "  1f:\tlock xadd %eax,(%rdi)"
        let Some((_, instruction)) = line.split_once(":\t") else { continue };
        let mut words = instruction.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let name = match first {
            "lock" => format!("lock {second}"),
            // With memory it locks the bus, and between registers it is an ordinary instruction.
            "xchg" if second.contains('(') => first.to_owned(),
            "mfence" | "lfence" | "sfence" | "syscall" | "sysenter" | "int" | "rdtsc" | "rdtscp" | "rdrand"
            | "rdseed" | "xbegin" | "rdfsbase" => first.to_owned(),
            // The machine's thread, which all threads of the model share: as an identity, for one. What lies at 0x28 is for the
            // compiler, to protect stacks.
            _ if instruction.contains("%fs:") && !instruction.contains("%fs:0x28") => format!("{first} %fs"),
            _ => continue,
        };
        found.entry(name).or_default().insert(function.clone());
    }
    Ok(found)
}

/// What the C library defines; empty where it cannot be found.
pub(super) fn c_library(compiler: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for library in ["libc.so.6", "libm.so.6"] {
        let Ok(path) = run(Command::new(compiler).arg(format!("-print-file-name={library}"))) else { continue };
        let Ok(symbols) = run(Command::new("readelf").args(["--dyn-syms", "-W"]).arg(path.trim())) else { continue };
        let symbols = symbols.lines().filter_map(|line| Symbol::parse(line, library)).filter(|symbol| symbol.defined);
        // "poll@@GLIBC_2.2.5"
        names.extend(symbols.map(|symbol| symbol.name.split('@').next().unwrap_or_default().to_owned()));
    }
    names
}

/// Whether it is the C library's or the compiler's, as names with two underscores in front are, whichever version of it that is.
pub(super) fn is_of_c_library(name: &str, c_library: &BTreeSet<String>) -> bool {
    c_library.is_empty() || c_library.contains(name) || name.starts_with("__")
}

pub(super) fn short(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

pub(super) fn run(command: &mut Command) -> Result<String, Refused> {
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
