//! Names of the C code's globals, for reports: from the table of symbols of the program that runs, if it was not stripped.

use super::globals;
use crate::std_types::OnceLock;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A variable among the globals.
struct Variable {
    start: usize,
    size: usize,
    name: String,
}

/// The variables of all C code that was instrumented, by address.
struct Variables(Vec<Variable>);

/// Where in which variable an address is: ` name`, or ` name+4`. Where there is none, where among the globals.
pub(crate) fn describe(address: usize) -> String {
    static VARIABLES: OnceLock<Variables> = OnceLock::new();
    VARIABLES.get_or_init(Variables::new).describe(address)
}

/// A section of symbols, in a header of ELF's.
const SYMBOLS: u32 = 2;
/// What is no function and no section, in a symbol of ELF's.
const OBJECT: u8 = 1;
/// Bytes of a symbol.
const SYMBOL: usize = 24;

impl Variables {
    /// None, where the program cannot be read, is no ELF file, has no symbols, or has not itself the instrumented code.
    fn new() -> Self {
        Self(File::open("/proc/self/exe").ok().and_then(|file| read(&file)).unwrap_or_default())
    }

    fn describe(&self, address: usize) -> String {
        let beyond = self.0.partition_point(|variable| variable.start <= address);
        let found = self.0[..beyond].last().filter(|variable| address < variable.start + variable.size);
        match (found, globals::offset(address)) {
            (Some(variable), _) if variable.start == address => format!(" {}", variable.name),
            (Some(variable), _) => format!(" {}+{}", variable.name, address - variable.start),
            (None, offset) => format!("+{}", offset.unwrap_or_default()),
        }
    }
}

fn number<const BYTES: usize>(file: &[u8], at: usize) -> Option<usize> {
    let bytes: [u8; BYTES] = file.get(at..at.checked_add(BYTES)?)?.try_into().ok()?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}

fn text(file: &[u8], at: usize) -> Option<&str> {
    let rest = file.get(at..)?;
    std::str::from_utf8(rest.split(|&byte| byte == 0).next()?).ok()
}

/// A part of a file, where all of it is there.
fn part(file: &File, from: usize, size: usize) -> Option<Vec<u8>> {
    if u64::try_from(from.checked_add(size)?).ok()? > file.metadata().ok()?.len() {
        return None;
    }
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, from as u64).ok().map(|()| bytes)
}

/// Headers of sections and symbols, of 64 bits, where ELF says that they are.
fn read(file: &File) -> Option<Vec<Variable>> {
    let (low, high) = globals::bounds();
    let start = part(file, 0, 0x40)?;
    if !start.starts_with(b"\x7fELF\x02\x01") || low == 0 {
        return None;
    }
    let (from, each, count) = (number::<8>(&start, 0x28)?, number::<2>(&start, 0x3a)?, number::<2>(&start, 0x3c)?);
    let headers = part(file, from, each.checked_mul(count)?)?;
    let section = |header: &[u8]| part(file, number::<8>(header, 0x18)?, number::<8>(header, 0x20)?);
    let mut all = headers.chunks_exact(each.max(1));
    let table = all.clone().find(|header| number::<4>(header, 4) == Some(SYMBOLS as usize))?;
    let (symbols, names) = (section(table)?, section(all.nth(number::<4>(table, 0x28)?)?)?);
    let name = |symbol: &[u8]| text(&names, number::<4>(symbol, 0)?);
    // The file says where things are before the program was put somewhere.
    let begins = symbols.chunks_exact(SYMBOL).find(|symbol| name(symbol) == Some("__start_latecall_model_data"))?;
    let moved = low.wrapping_sub(number::<8>(begins, 8)?);
    let mut variables: Vec<Variable> = symbols
        .chunks_exact(SYMBOL)
        .filter_map(|symbol| {
            let start = number::<8>(symbol, 8)?.wrapping_add(moved);
            let size = number::<8>(symbol, 16)?;
            let wanted = symbol[4] & 0xf == OBJECT && (low..high).contains(&start) && size > 0;
            wanted.then(|| Some(Variable { start, size, name: name(symbol)?.to_owned() })).flatten()
        })
        .collect();
    variables.sort_by_key(|variable| variable.start);
    Some(variables)
}
