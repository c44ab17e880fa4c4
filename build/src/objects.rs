//! Reads ELF objects and archives: their symbols and sections, and what the C library defines.

use crate::Error;
use crate::tools::{read, run};
use object::read::archive::ArchiveFile;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolFlags, elf};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

type Elf<'data> = ElfFile64<'data, object::Endianness>;

/// A symbol in the symbol table of an object.
pub(crate) struct Symbol {
    pub(crate) name: String,
    /// The object's file name, for messages.
    pub(crate) object: String,
    pub(crate) defined: bool,
    pub(crate) global: bool,
    pub(crate) weak: bool,
    pub(crate) function: bool,
    pub(crate) thread_local: bool,
}

impl Symbol {
    /// `None` for a symbol without a name.
    fn new<'data>(symbol: &impl ObjectSymbol<'data>, object: &str) -> Option<Self> {
        let name = symbol.name_bytes().ok().filter(|name| !name.is_empty())?;
        let SymbolFlags::Elf { st_info, .. } = symbol.flags() else { return None };
        let (binding, kind) = (st_info.st_bind(), st_info.st_type());
        Some(Self {
            name: String::from_utf8_lossy(name).into_owned(),
            object: object.to_owned(),
            defined: !symbol.is_undefined(),
            global: binding != elf::STB_LOCAL,
            weak: binding == elf::STB_WEAK,
            function: kind == elf::STT_FUNC,
            thread_local: kind == elf::STT_TLS,
        })
    }
}

/// The symbols of an object, or of all objects in an archive.
pub(crate) fn symbols(path: &Path) -> Result<Vec<Symbol>, Error> {
    let data = read(path)?;
    let mut symbols = Vec::new();
    if data.starts_with(&object::archive::MAGIC) || data.starts_with(&object::archive::THIN_MAGIC) {
        let archive = ArchiveFile::parse(&*data).map_err(|error| not_an_object(path, error))?;
        for member in archive.members() {
            let member = member.map_err(|error| not_an_object(path, error))?;
            let name = String::from_utf8_lossy(member.name()).into_owned();
            let object = format!("{}({name})", short(path));
            if member.is_thin() {
                // A thin archive contains only the paths of its members, relative to its own folder.
                let file = path.with_file_name(name);
                add_symbols(&read(&file)?, &file, &object, &mut symbols)?;
            } else {
                let content = member.data(&*data).map_err(|error| not_an_object(path, error))?;
                add_symbols(content, &path.with_file_name(&object), &object, &mut symbols)?;
            }
        }
    } else {
        add_symbols(&data, path, &short(path), &mut symbols)?;
    }
    Ok(symbols)
}

fn add_symbols(data: &[u8], path: &Path, object: &str, symbols: &mut Vec<Symbol>) -> Result<(), Error> {
    let file = Elf::parse(data).map_err(|error| not_an_object(path, error))?;
    symbols.extend(file.symbols().filter_map(|symbol| Symbol::new(&symbol, object)));
    Ok(())
}

/// Sections whose data is constant once the program is loaded, or that `latecall-explore` runs itself.
const NOT_DATA: &[&str] =
    &[".data.rel.ro", "latecall_model_init", "latecall_model_fini", ".ctors", ".dtors", ".tm_clone_table"];

/// The sections of an object that running code may write.
pub(crate) fn writable_sections(path: &Path) -> Result<BTreeSet<String>, Error> {
    let data = read(path)?;
    let file = Elf::parse(&*data).map_err(|error| not_an_object(path, error))?;
    let mut sections = BTreeSet::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        let name = section.name().map_err(|error| not_an_object(path, error))?;
        let has = |flag: elf::SectionFlags| sh_flags.0 & flag.0 != 0;
        let writable = has(elf::SHF_WRITE) && has(elf::SHF_ALLOC) && !has(elf::SHF_TLS) && !has(elf::SHF_GROUP);
        if writable && !NOT_DATA.iter().any(|kept| name.starts_with(kept)) {
            sections.insert(name.to_owned());
        }
    }
    Ok(sections)
}

/// The names that the C library defines. Empty if the compiler does not find the C library.
pub(crate) fn c_library(compiler: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for library in ["libc.so.6", "libm.so.6"] {
        let Ok(path) = run(Command::new(compiler).arg(format!("-print-file-name={library}"))) else { continue };
        let Ok(data) = std::fs::read(PathBuf::from(path.trim())) else { continue };
        let Ok(file) = Elf::parse(&*data) else { continue };
        let symbols = file.dynamic_symbols().filter_map(|symbol| Symbol::new(&symbol, library));
        names.extend(symbols.filter(|symbol| symbol.defined).map(|symbol| symbol.name));
    }
    names
}

fn short(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn not_an_object(path: &Path, error: object::read::Error) -> Error {
    Error::NotAnObject { path: path.to_owned(), source: Box::new(error) }
}
