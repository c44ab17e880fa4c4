//! What binutils tell about an object, and running them.

use super::Refused;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A line of an object's symbol table.
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) object: String,
    pub(super) defined: bool,
    pub(super) global: bool,
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
        let kept = [".data.rel.ro", ".init_array", ".fini_array", ".ctors", ".dtors", ".tm_clone_table"];
        let writable = flags.contains('W') && flags.contains('A') && !flags.contains('T') && !flags.contains('G');
        if writable && !kept.iter().any(|kept| name.starts_with(kept)) {
            sections.insert(name.to_owned());
        }
    }
    Ok(sections)
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
