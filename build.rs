//! With feature `native`, builds the C library in `native/`: linked into this crate, as a shared object that tests and
//! the gate load at run time, and instrumented for the explorer. Without that feature there is nothing to build.

#[cfg(not(feature = "native"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

#[cfg(feature = "native")]
fn main() {
    use std::{env, path::PathBuf};

    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=native/include");
    println!("cargo::rerun-if-changed=native/src");
    println!("cargo::rerun-if-changed=native/tests/registry");

    let target = (env::var("CARGO_CFG_TARGET_OS").unwrap(), env::var("CARGO_CFG_TARGET_ARCH").unwrap());
    if (target.0.as_str(), target.1.as_str()) != ("linux", "x86_64") {
        println!(
            "cargo::error=latecall's feature `native` needs Linux on x86-64, and this target is {}-{}: leave the feature out; the \
             registry builds without it.",
            target.0, target.1
        );
        return;
    }

    // Rust code is being built for a sanitizer: C code that is linked to it is built for the sanitizer too.
    let sanitizers = env::var("CARGO_CFG_SANITIZE").unwrap_or_default();
    let sanitizer = sanitizers.split(',').find(|it| ["address", "thread"].contains(it));
    let sanitize = |build: &mut cc::Build| {
        if let Some(sanitizer) = sanitizer {
            build.flag(format!("-fsanitize={sanitizer}")).flag("-fno-omit-frame-pointer");
        }
    };

    let mut sources: Vec<PathBuf> = std::fs::read_dir("native/src")
        .expect("native/src is part of the package")
        .map(|entry| entry.expect("native/src can be listed").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "c"))
        .collect();
    sources.sort();

    // -fexceptions: a panic that leaves a callback must be able to pass the library's frames (and run its cleanups)
    // instead of ending the process, so that an engine can report it.
    let configure = |build: &mut cc::Build| {
        build
            .std("c11")
            .include("native/include")
            .flag("-fexceptions")
            .flag("-fvisibility=hidden")
            .flag("-pthread")
            .warnings(true)
            .extra_warnings(true)
            .warnings_into_errors(true);
    };

    let mut linked = cc::Build::new();
    configure(&mut linked);
    sanitize(&mut linked);
    linked.files(&sources).compile("emitter");

    // C code that uses the registry, called by tests/registry/c.rs, and a library without user data, for
    // tests/thunk/c.rs.
    let mut registry = cc::Build::new();
    configure(&mut registry);
    sanitize(&mut registry);
    registry.file("native/tests/registry/test_latecall.c").file("native/tests/registry/kept_pointer.c");
    registry.compile("registry_tests");

    let out = PathBuf::from(env::var("OUT_DIR").unwrap());
    shared_object(&sources, &out.join("libemitter.so"), &[], configure);
    // What a loader must refuse: built against another version of the header.
    shared_object(&sources, &out.join("libemitter-older.so"), &["-DEMITTER_ABI_VERSION=0u"], configure);
    println!("cargo::rustc-env=LATECALL_EMITTER_DIR={}", out.display());

    // The library once more, for the model. Its mutants are a development dependency's: `native/tests/model`.
    latecall_build::Instrument::new("model_emitter")
        .compiler(cc::Build::new().get_compiler().path())
        .flag("-std=c11")
        .flag("-fvisibility=hidden")
        .include("native/include")
        .files(&sources)
        .link();
}

/// `cc` makes archives only, so the shared object is made by calling the compiler it found.
#[cfg(feature = "native")]
fn shared_object(
    sources: &[std::path::PathBuf],
    object: &std::path::Path,
    flags: &[&str],
    configure: impl Fn(&mut cc::Build),
) {
    let mut build = cc::Build::new();
    configure(&mut build);
    build.pic(true);
    let mut command = build.get_compiler().to_command();
    // -Bsymbolic: the object calls its own functions even where the executable holds the linked twin.
    command.args(flags).args(["-shared", "-Wl,-Bsymbolic", "-o"]).arg(object).args(sources);
    let status = command.status().unwrap_or_else(|error| panic!("cannot run the C compiler: {command:?}: {error}"));
    assert!(status.success(), "the C compiler failed ({status}): {command:?}");
}
