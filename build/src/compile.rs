//! Compiles one source file to an instrumented object.

use crate::instrument::is_cxx;
use crate::tools::{read, run, write};
use crate::{Error, Instrument, locals, objects};
use std::path::Path;
use std::process::Command;

/// The compiler flags for instrumented code. Only `-fsanitize=thread` is required; the other flags make findings
/// precise.
///
/// - `-fexceptions` and the frame pointer: a finding leaves through C frames, and its stack names them.
/// - `-O1`: keeps the accesses that the source has, and drops those that only an unoptimised build makes.
/// - `-fno-builtin`: otherwise the compiler replaces small copies after it has instrumented the code, so that they are
///   not seen, and it removes pairs of `malloc` and `free` together with the mistakes in them.
pub const COMPILER_FLAGS: &[&str] = &[
    "-fsanitize=thread",
    "-g",
    "-O1",
    "-fno-omit-frame-pointer",
    "-fexceptions",
    "-fno-stack-protector",
    "-U_FORTIFY_SOURCE",
    "-fPIC",
    "-fno-builtin",
];

impl Instrument {
    pub(crate) fn compile(&self, file: &Path, object: &Path) -> Result<(), Error> {
        let (compiler, flags) =
            if is_cxx(file) { (&self.cxx_compiler, &self.cxx_flags) } else { (&self.compiler, &self.c_flags) };
        let version = run(Command::new(compiler).arg("--version"))?;
        let is_clang = version.contains("clang");
        // Each compiler has its own flag to mark volatile accesses. Clang can turn thread-local variables into calls as
        // well; for gcc, src/locals.rs does so.
        let own: &[&str] = if is_clang {
            &["-mllvm", "-tsan-distinguish-volatile=1", "-femulated-tls"]
        } else {
            &["--param", "tsan-distinguish-volatile=1"]
        };
        let command = |step: &[&str], from: &Path, to: &Path| {
            let mut command = Command::new(compiler);
            if is_cxx(file) && !is_clang {
                // Does for new and delete what -fno-builtin does for malloc and free.
                command.arg("-fno-allocation-dce");
            }
            command.args(COMPILER_FLAGS).args(own).args(&self.flags).args(flags).args(step).arg(from).arg("-o").arg(to);
            command
        };
        run(&mut command(&["-c"], file, object))?;
        if is_clang || !objects::symbols(object)?.iter().any(|symbol| symbol.thread_local) {
            return Ok(());
        }
        let preprocessed = object.with_extension(if is_cxx(file) { "ii" } else { "i" });
        let assembly = object.with_extension("s");
        run(&mut command(&["-E"], file, &preprocessed))?;
        write(&preprocessed, locals::general_dynamic(&read(&preprocessed)?))?;
        let steps = [locals::FLAGS, &["-S"]].concat();
        run(&mut command(&steps, &preprocessed, &assembly))?;
        // Without a translation the object keeps its thread-local variables, and src/renames.rs refuses it with their
        // names.
        if let Some(text) = std::str::from_utf8(&read(&assembly)?).ok().and_then(locals::emulated) {
            write(&assembly, text)?;
            run(Command::new(compiler).arg("-c").arg(&assembly).arg("-o").arg(object))?;
        }
        Ok(())
    }
}
