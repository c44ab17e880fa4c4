//! Finds assembly in the source whose effects the explorer would not see.

use crate::tools::run;
use crate::{Error, Uses};
use std::path::Path;
use std::process::Command;

/// Instructions that the compiler never generates for instrumented code, each with the functions that contain it.
/// Atomic operations, fences and thread-local variables are calls there, so these instructions come from assembly in
/// the source.
pub(crate) fn uninstrumented_instructions(object: &Path) -> Result<Uses, Error> {
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
            // `xchg` with memory locks the bus. Between registers it is an ordinary instruction.
            "xchg" if second.contains('(') => first.to_owned(),
            "mfence" | "lfence" | "sfence" | "syscall" | "sysenter" | "int" | "rdtsc" | "rdtscp" | "rdrand"
            | "rdseed" | "xbegin" | "rdfsbase" => first.to_owned(),
            // The thread pointer, which is the same for all threads of a search. The compiler itself reads %fs:0x28,
            // for the stack protector.
            _ if instruction.contains("%fs:") && !instruction.contains("%fs:0x28") => format!("{first} %fs"),
            _ => continue,
        };
        found.entry(name).or_default().insert(function.clone());
    }
    Ok(found)
}
