//! Turns gcc's thread-local variables into calls of `__emutls_get_address`, as clang does with `-femulated-tls`.
//!
//! All threads of a search run on one thread of the operating system, so each access of a thread-local variable must be
//! a call that the explorer answers. gcc for this target cannot generate that call. For a variable with the access
//! model *general dynamic*, gcc generates one fixed sequence of instructions. So the translation has three steps:
//!
//! 1. [`general_dynamic`] sets that access model for all variables in the preprocessed source.
//! 2. gcc compiles the result to assembly.
//! 3. [`emulated`] replaces the fixed sequences, and the definitions of the variables, in the assembly.
//!
//! Forms that these functions do not know exactly stay as they are. `src/renames.rs` refuses an object with a
//! thread-local variable, and names the variable.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Flags that make gcc generate the fixed sequence, whatever flags the user has set.
pub(crate) const FLAGS: &[&str] = &["-fPIC", "-fplt", "-mtls-dialect=gnu", "-fno-lto"];

const KEYWORDS: &[&[u8]] = &[b"__thread", b"_Thread_local", b"thread_local"];
const ATTRIBUTE: &[u8] = b" __attribute__((__tls_model__(\"global-dynamic\")))";

/// Adds the attribute for the access model *general dynamic* to every thread-local variable in preprocessed C or C++.
/// Strings and character constants stay as they are.
pub(crate) fn general_dynamic(source: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(source.len());
    let mut at = 0;
    // After `tls_model`, until its argument: between the two come only spaces and a parenthesis.
    let mut argument = false;
    while at < source.len() {
        let length = token(&source[at..]);
        let text = &source[at..at + length];
        at += length;
        if argument && text[0] == b'"' {
            out.extend_from_slice(b"\"global-dynamic\"");
            argument = false;
            continue;
        }
        out.extend_from_slice(text);
        if KEYWORDS.contains(&text) {
            out.extend_from_slice(ATTRIBUTE);
        }
        argument = text == b"tls_model"
            || text == b"__tls_model__"
            || (argument && (text[0].is_ascii_whitespace() || text == b"("));
    }
    out
}

/// The length of the first token: a word or number, a string or character constant, or one byte of anything else.
fn token(source: &[u8]) -> usize {
    let part = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80;
    let first = source[0];
    if part(&first) {
        let mut length = 1;
        while let Some(byte) = source.get(length) {
            // C++ allows 1'000.
            let separates = *byte == b'\'' && first.is_ascii_digit() && source.get(length + 1).is_some_and(part);
            if !part(byte) && !separates {
                break;
            }
            length += 1;
        }
        let raw = [&b"R"[..], b"LR", b"uR", b"UR", b"u8R"].contains(&&source[..length]);
        return if raw && source.get(length) == Some(&b'"') { length + raw_string(&source[length..]) } else { length };
    }
    if first != b'"' && first != b'\'' {
        return 1;
    }
    let mut length = 1;
    while let Some(&byte) = source.get(length) {
        length += if byte == b'\\' { 2 } else { 1 };
        // A quote that is still open at the end of its line begins no constant; `#error` may contain one.
        if byte == first || byte == b'\n' {
            break;
        }
    }
    length.min(source.len())
}

/// The length of a raw string of C++: `"end( … )end"`.
fn raw_string(source: &[u8]) -> usize {
    let Some(open) = source.iter().position(|&byte| byte == b'(') else { return source.len() };
    let end = [b")", &source[1..open], b"\""].concat();
    source.windows(end.len()).position(|window| window == end).map_or(source.len(), |at| at + end.len())
}

/// Replaces each of gcc's sequences by a call of `__emutls_get_address`, and each variable by the description that this
/// function takes. Returns `None` if the assembly uses thread-local variables in any other form.
pub(crate) fn emulated(assembly: &str) -> Option<String> {
    let lines: Vec<&str> = assembly.lines().collect();
    let names = names(&lines);
    let mut out = String::with_capacity(assembly.len());
    let mut sections = Sections::default();
    let mut variable: Option<Variable<'_>> = None;
    let mut next = Next::default();
    let mut at = 0;
    while let Some(&line) = lines.get(at) {
        at += 1;
        if line == "#APP" {
            // Assembly from the source itself stays as it is.
            while let Some(&line) = lines.get(at) {
                push(&mut out, line);
                at += 1;
                if line == "#NO_APP" {
                    break;
                }
            }
            continue;
        }
        if let Some(name) = asks_general_dynamic(&lines[at - 1..]) {
            at += 3;
            push(&mut out, &format!("\tleaq\t__emutls_v.{name}(%rip), %rdi"));
            push(&mut out, "\tcall\t__emutls_get_address@PLT");
            continue;
        }
        let (directive, operands) = directive(line);
        if sections.enter(directive, operands)? {
            if let Some(variable) = variable.take() {
                variable.describe(&mut out)?;
            }
            if !sections.thread_local {
                push(&mut out, line);
            }
            continue;
        }
        if BINDINGS.contains(&directive) && names.contains(operands) {
            push(&mut out, &format!("\t{directive}\t__emutls_v.{operands}"));
        } else if BINDINGS.contains(&directive) || directive == ".comm" {
            // An ordinary variable: these directives may come in any section.
            push(&mut out, line);
        } else if !sections.thread_local {
            match operands.strip_suffix("@dtpoff, 0") {
                // The variable's address in the debug information.
                Some(name) if directive == ".long" && sections.debug && names.contains(name) => {
                    push(&mut out, "\t.long\t0, 0");
                }
                _ => push(&mut out, line),
            }
        } else if let Some(label) = line.strip_suffix(':') {
            if let Some(variable) = variable.take() {
                variable.describe(&mut out)?;
            }
            variable = Some(std::mem::take(&mut next).begin(label)?);
        } else if DATA.contains(&directive) {
            variable.as_mut()?.initial.push(line);
        } else {
            next.learn(directive, operands)?;
        }
    }
    if let Some(variable) = variable {
        variable.describe(&mut out)?;
    }
    let left = ["@tlsgd", "@tlsld", "@gottpoff", "@tpoff", "@dtpoff", "@TLSDESC", "@tlsdesc", "@TLSCALL", "@tlscall"];
    let knows_all = !left.iter().any(|left| out.contains(left)) && !out.contains("__tls_get_addr");
    knows_all.then_some(out)
}

const BINDINGS: &[&str] = &[".globl", ".weak", ".hidden", ".protected", ".internal", ".local"];
const DATA: &[&str] = &[".zero", ".byte", ".value", ".long", ".quad", ".string", ".ascii"];

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// `\t.globl\tname`, `\t.align 8`.
fn directive(line: &str) -> (&str, &str) {
    let line = line.strip_prefix('\t').unwrap_or_default();
    line.split_once(['\t', ' ']).unwrap_or((line, ""))
}

/// Recognises gcc's sequence for a variable's address, and returns the variable's name. The sequence never varies,
/// because linkers rely on it.
fn asks_general_dynamic<'a>(lines: &[&'a str]) -> Option<&'a str> {
    let [first, "\t.value\t0x6666", "\trex64", "\tcall\t__tls_get_addr@PLT", ..] = lines else { return None };
    first.strip_prefix("\tdata16\tleaq\t")?.strip_suffix("@tlsgd(%rip), %rdi")
}

/// The thread-local variables that the assembly uses or defines.
fn names<'a>(lines: &[&'a str]) -> BTreeSet<&'a str> {
    let mut sections = Sections::default();
    let mut names = BTreeSet::new();
    for (at, &line) in lines.iter().enumerate() {
        names.extend(asks_general_dynamic(&lines[at..]));
        let (directive, operands) = directive(line);
        let entered = sections.enter(directive, operands).unwrap_or_default();
        if !entered && sections.thread_local {
            names.extend(line.strip_suffix(':'));
        }
    }
    names
}

/// The section of the current line.
#[derive(Default)]
struct Sections<'a> {
    thread_local: bool,
    debug: bool,
    /// Sections with thread-local variables: later directives name them without flags.
    known: BTreeSet<&'a str>,
}

impl<'a> Sections<'a> {
    /// Returns whether the line enters a section, and `None` for a directive that is not understood.
    fn enter(&mut self, directive: &str, operands: &'a str) -> Option<bool> {
        match directive {
            ".text" | ".data" | ".bss" => (self.thread_local, self.debug) = (false, false),
            ".section" => {
                let (name, rest) = operands.split_once(',').unwrap_or((operands, ""));
                let flags = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()).unwrap_or_default();
                if flags.contains('T') {
                    // A C++ inline variable: the linker merges copies from several objects.
                    if flags != "awT" {
                        return None;
                    }
                    self.known.insert(name);
                }
                (self.thread_local, self.debug) = (self.known.contains(name), name.starts_with(".debug_"));
            }
            ".pushsection" | ".popsection" | ".previous" | ".subsection" | ".tls_common" => return None,
            _ => return Some(false),
        }
        Some(true)
    }
}

/// What the directives before a variable's label say about it.
#[derive(Default)]
struct Next<'a> {
    align: Option<u64>,
    size: Option<(&'a str, u64)>,
}

impl<'a> Next<'a> {
    fn learn(&mut self, directive: &str, operands: &'a str) -> Option<()> {
        match directive {
            ".align" => self.align = Some(operands.parse().ok()?),
            ".size" => {
                let (name, size) = operands.split_once(", ")?;
                self.size = Some((name, size.parse().ok()?));
            }
            ".type" => drop(operands.strip_suffix(", @object")?),
            _ => return None,
        }
        Some(())
    }

    fn begin(self, name: &'a str) -> Option<Variable<'a>> {
        let (of, size) = self.size?;
        (of == name && size > 0).then_some(Variable { name, size, align: self.align.unwrap_or(1), initial: Vec::new() })
    }
}

struct Variable<'a> {
    name: &'a str,
    size: u64,
    align: u64,
    /// The directives with the initial value.
    initial: Vec<&'a str>,
}

impl Variable<'_> {
    /// Writes the description that `__emutls_get_address` takes: size, alignment, a word for its own use, and the
    /// address of the initial value (null: all zeros).
    fn describe(self, out: &mut String) -> Option<()> {
        let Self { name, size, align, initial } = self;
        let zero = format!("\t.zero\t{size}");
        let mut value = String::from("0");
        if initial.is_empty() {
            return None;
        }
        if initial != [zero.as_str()] {
            value = format!("__emutls_t.{name}");
            write!(
                out,
                "\t.section\t.data.rel.ro.local,\"aw\"\n\t.balign\t{align}\n\t.type\t{value}, @object\n{value}:\n"
            )
            .ok()?;
            initial.iter().for_each(|line| push(out, line));
            // Makes the assembler fail unless the initial value has exactly the variable's size.
            write!(out, "\t.if\t. - {value} - {size}\n\t.error\t\"{name}\"\n\t.endif\n\t.size\t{value}, {size}\n")
                .ok()?;
        }
        write!(
            out,
            "\t.data\n\t.balign\t8\n\t.type\t__emutls_v.{name}, @object\n\t.size\t__emutls_v.{name}, 32\n__emutls_v.{name}:\n\
             \t.quad\t{size}\n\t.quad\t{align}\n\t.quad\t0\n\t.quad\t{value}\n"
        )
        .ok()
    }
}
