//! Instruments the programs and the mutants.

mod mutants;

use latecall_build::Instrument;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(latecall_clang)");
    println!("cargo::rerun-if-env-changed=CLANG");
    for changed in ["build.rs", "mutants.rs", "programs", "constructors", "../../src", "../../include"] {
        println!("cargo::rerun-if-changed={changed}");
    }
    let target = |key: &str| std::env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    if (target("OS").as_str(), target("ARCH").as_str()) != ("linux", "x86_64") {
        println!("cargo::warning=the model runs on Linux x86-64 only: its tests have nothing to run on this target");
        return;
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo runs this"));
    programs("model_tests").link();
    constructors("model_constructed").link();
    if let Some(clang) = clang() {
        programs("clang_tests").compiler(&clang).cxx_compiler(&clang).link();
        constructors("clang_constructed").compiler(&clang).link();
        println!("cargo::rustc-cfg=latecall_clang");
    }
    for mutant in mutants::MUTANTS {
        emitter(mutant.name).files(mutant.sources(&out)).link();
    }
}

/// The programs of the model's tests, complete with their threads.
fn programs(name: &str) -> Instrument {
    let instrument = Instrument::new(name).flag("-D_GNU_SOURCE").flag("-mcx16").refuse_when_called("listen");
    instrument.c_flag("-std=c11").cxx_flag("-std=c++17").files(files("programs", &["c", "cpp"]))
}

/// What runs before main and after it, in every test that links it: apart from the rest, of which tests count the blocks.
fn constructors(name: &str) -> Instrument {
    Instrument::new(name).flag("-D_GNU_SOURCE").file("constructors/constructors.c")
}

/// The emitter, as the library's own build script makes it.
fn emitter(name: &str) -> Instrument {
    Instrument::new(name).flag("-std=c11").flag("-fvisibility=hidden").include("../../include")
}

fn clang() -> Option<PathBuf> {
    let compiler = PathBuf::from(std::env::var_os("CLANG").unwrap_or_else(|| "clang".into()));
    Command::new(&compiler).arg("--version").output().is_ok_and(|output| output.status.success()).then_some(compiler)
}

fn files(folder: impl AsRef<Path>, extensions: &[&str]) -> Vec<PathBuf> {
    let folder = folder.as_ref();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a folder of the package can be listed").path()).collect();
    files.retain(|file| extensions.iter().any(|&extension| file.extension().is_some_and(|it| it == extension)));
    files.sort();
    files
}
