//! Each form of input that can be instrumented, and each error, with its text.

use latecall_build::{COMPILER_FLAGS, Error, Instrument};
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn refused(name: &str, source: &str) -> Error {
    let folder = folder(name);
    let file = folder.join(format!("{name}.c"));
    std::fs::write(&file, source).unwrap();
    Instrument::new(name).file(file).build(&folder).unwrap_err()
}

#[test]
fn what_blocks_and_is_not_modelled_is_refused_by_name() {
    let source = "#include <sys/socket.h>\nint waits(void) { return accept(0, 0, 0); }\n";
    let refused = refused("accepts", source);
    assert!(refused.to_string().contains("`accept` in 0.accepts.o"), "{refused}");
    assert!(matches!(refused, Error::Unmodelled(symbols) if symbols.len() == 1));
}

const LOCAL: &str = "static __thread int mine;\nint *get(void) { return &mine; }\n";

#[test]
fn thread_local_variables_become_calls() {
    let folder = folder("locals");
    // Words in string constants declare nothing.
    let words = "const char *words(void) { return \"__thread tls_model(\\\"initial-exec\\\") \\'\"; }\nint quote(void) { return '\\\"'; }\n";
    let file = folder.join("locals.c");
    std::fs::write(&file, format!("{words}{LOCAL}")).unwrap();
    let archive =
        Instrument::new("locals").file(&file).flag("-fno-plt").flag("-ftls-model=initial-exec").build(&folder);
    let archive = archive.unwrap();
    let symbols = symbols(&archive);
    assert!(
        symbols.contains(" __emutls_v.mine") && symbols.contains("U latecall_model___emutls_get_address"),
        "{symbols}"
    );
    let bytes = std::fs::read(&archive).unwrap();
    let kept = b"__thread tls_model(\"initial-exec\") '\0";
    assert!(bytes.windows(kept.len()).any(|window| window == kept), "the string is as it was");
    // Constants that only C++ has.
    let file = folder.join("locals.cpp");
    let words =
        "const char *words() { return R\"x(thread_local \")\" __thread)x\"; }\nint big = 1'000'000; char c = 'c';\n";
    std::fs::write(&file, format!("{words}thread_local int mine = 3;\nint *get() {{ return &mine; }}\n")).unwrap();
    let archive = Instrument::new("locals").cxx_flag("-std=c++17").file(&file).build(&folder.join("cxx")).unwrap();
    let bytes = std::fs::read(&archive).unwrap();
    let kept = b"thread_local \")\" __thread\0";
    assert!(bytes.windows(kept.len()).any(|window| window == kept), "the string is as it was");
}

#[test]
fn thread_local_variables_that_stay_are_refused_by_name() {
    let folder = folder("locals_stay");
    let object = compiled(&folder, "existing", LOCAL, COMPILER_FLAGS);
    let refused = Instrument::new("existing").object(object).build(&folder).unwrap_err();
    assert!(
        refused.to_string().contains("`mine` in existing.o") && refused.to_string().contains("sources"),
        "{refused}"
    );
    // Forms that are not translated: assembly in the source that uses the variable, and an inline variable of C++.
    let asks = "__thread int mine;\nint get(void) { int value; __asm__(\"movq mine@gottpoff(%%rip), %%rax; movl %%fs:(%%rax), %0\"\n                : \"=r\"(value) : : \"rax\"); return value + mine; }\n";
    let copied = "inline thread_local int mine = 3;\nint *get() { return &mine; }\n";
    for (name, source) in [("asks.c", asks), ("copied.cpp", copied)] {
        let file = folder.join(name);
        std::fs::write(&file, source).unwrap();
        let refused = Instrument::new("stays").cxx_flag("-std=c++17").file(&file).build(&folder).unwrap_err();
        let Error::ThreadLocal(names) = &refused else { panic!("{name}: {refused}") };
        assert!(names.contains_key("mine"), "{name}: {refused}");
    }
}

#[test]
fn the_environment_may_be_read_like_any_function_that_does() {
    let folder = folder("environment");
    let file = folder.join("environment.c");
    std::fs::write(&file, "extern char **environ;\nchar *first(void) { return environ[0]; }\n").unwrap();
    let archive = Instrument::new("environment").file(&file).build(&folder).unwrap();
    assert!(symbols(&archive).contains("U environ"), "it keeps its name");
}

#[test]
fn an_object_that_was_not_instrumented_is_refused_by_name() {
    let folder = folder("blind");
    let (source, object) = (folder.join("blind.c"), folder.join("blind.o"));
    std::fs::write(&source, "int f(int *p) { return *p; }\n").unwrap();
    let compiled = std::process::Command::new("cc").arg("-c").arg(&source).arg("-o").arg(&object).status().unwrap();
    assert!(compiled.success());
    let refused = Instrument::new("blind").object(&object).build(&folder).unwrap_err();
    let Error::NotInstrumented(objects) = &refused else { panic!("{refused}") };
    assert_eq!(*objects, [String::from("blind.o")].into(), "{refused}");
}

#[test]
fn an_existing_archive_is_instrumented() {
    let folder = folder("archive");
    let source = folder.join("twice.c");
    std::fs::write(&source, "#include <stdlib.h>\nint count;\nint *twice(int n) { count += n; return malloc(8); }\n")
        .unwrap();
    let once = Instrument::new("once").file(&source).build(&folder);
    let once = once.unwrap();
    // The result of an earlier build calls the explorer under renamed symbols, so it counts as not instrumented.
    let refused = Instrument::new("again").object(&once).build(&folder).unwrap_err();
    assert!(matches!(refused, Error::NotInstrumented(_)), "{refused}");
    let object = folder.join("twice.o");
    let flags = latecall_build::COMPILER_FLAGS;
    let compiled =
        std::process::Command::new("cc").args(flags).arg("-c").arg(&source).arg("-o").arg(&object).status().unwrap();
    assert!(compiled.success());
    let archive = Instrument::new("other").object(&object).build(&folder).unwrap();
    let symbols = std::process::Command::new("nm").arg(archive).output().unwrap();
    let symbols = String::from_utf8(symbols.stdout).unwrap();
    for symbol in ["T other_twice", "other_count", "U latecall_model_malloc", "U latecall_model___tsan_write4"] {
        assert!(symbols.contains(symbol), "{symbol}:\n{symbols}");
    }
}

/// Compiles a source as a user's build would, with the flags for instrumentation or without.
fn compiled(folder: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (file, object) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.o")));
    std::fs::write(&file, source).unwrap();
    let status = Command::new("cc").args(flags).arg("-c").arg(&file).arg("-o").arg(&object).status().unwrap();
    assert!(status.success());
    object
}

fn symbols(archive: &Path) -> String {
    String::from_utf8(Command::new("nm").arg(archive).output().unwrap().stdout).unwrap()
}

#[test]
fn each_kind_of_function_is_refused_with_its_reason_its_object_and_what_to_do() {
    for (symbol, call, reason) in [
        ("connect", "connect(0, 0, 0)", "opens a file or a socket"),
        ("listen", "listen(0, 0)", "opens a file or a socket"),
        ("timerfd_create", "timerfd_create(0, 0)", "opens a file or a socket"),
        ("preadv", "preadv(0, 0, 0, 0)", "opens a file or a socket"),
        ("recvmmsg", "recvmmsg(0, 0, 0, 0, 0)", "opens a file or a socket"),
        ("accept", "accept(0, 0, 0)", "opens a file or a socket"),
        ("fopen", "fopen(\"\", \"r\")", "reads or writes a file"),
        ("fork", "fork()", "starts another process or waits for one"),
        ("waitpid", "waitpid(0, 0, 0)", "starts another process or waits for one"),
        ("system", "system(0)", "starts another process or waits for one"),
        ("sigwait", "sigwait(0, 0)", "sends signals or waits for them"),
        ("kill", "kill(0, 0)", "sends signals or waits for them"),
        ("raise", "raise(0)", "sends signals or waits for them"),
        ("longjmp", "longjmp(0, 0)", "switches stacks or unwinds frames"),
        ("swapcontext", "swapcontext(0, 0)", "switches stacks or unwinds frames"),
        ("dlopen", "dlopen(0, 0)", "loads code at run time"),
        ("membarrier", "membarrier(0, 0)", "makes a system call"),
        ("pthread_cancel", "pthread_cancel(0)", "cancels threads"),
        ("sem_open", "sem_open(0, 0)", "that several processes share"),
        ("mmap", "mmap(0, 0, 0, 0, 0, 0)", "maps memory"),
        ("exit", "exit(0)", "ends the process"),
        ("drand48", "drand48()", "keeps state inside the C library"),
        ("setlocale", "setlocale(0, 0)", "keeps state inside the C library"),
        ("mbstowcs", "mbstowcs(0, 0, 0)", "reads or writes the code's memory"),
        ("timer_create", "timer_create(0, 0, 0)", "sends signals or waits for them"),
        ("optind", "&optind", "is a variable of the C library"),
        ("nice", "nice(0)", "may block"),
    ] {
        let name = format!("refused_{symbol}");
        let source = format!("long {symbol}();\nlong used(void) {{ return (long){call}; }}\n");
        let refused = refused(&name, &source);
        let text = refused.to_string();
        assert!(text.contains(&format!("`{symbol}` in 0.{name}.o: ")), "{text}");
        assert!(text.contains(reason), "{text}");
        assert!(text.contains("Instrument::allow") && text.contains("Instrument::refuse_when_called"), "{text}");
        assert!(matches!(refused, Error::Unmodelled(symbols) if symbols.len() == 1));
    }
}

#[test]
fn undefined_symbols_are_told_apart_from_unmodelled_functions() {
    let source = "void part_of_the_library(void);\nlong accept(), bind(), listen();\n\
                  long used(void) { part_of_the_library(); return accept() + bind() + listen(); }\n";
    let refused = refused("partial", source);
    let text = refused.to_string();
    assert!(
        text.starts_with("these symbols are defined neither by the instrumented files nor by the C library:\n  `part_of_the_library` in 0.partial.o\n")
    );
    assert!(text.contains("Add the file that defines it (Instrument::file)"), "{text}");
    // Functions with one reason are in one line.
    assert!(
        text.contains("`accept` in 0.partial.o; `bind` in 0.partial.o; `listen` in 0.partial.o: opens a"),
        "{text}"
    );
    let Error::Undefined { undefined, unmodelled, .. } = refused else { panic!("{refused}") };
    assert_eq!((undefined.len(), unmodelled.len()), (1, 3));
}

/// A library's own function whose name begins like functions of the C library is not taken for one.
#[test]
fn names_that_begin_like_those_of_the_c_library_are_the_librarys_own() {
    for name in
        ["socket_hook", "timer_start", "execute", "global_init", "statistics", "send_reply", "tcp_open", "mq_put"]
    {
        let source = format!("void {name}(void);\nvoid used(void) {{ {name}(); }}\n");
        let refused = refused(&format!("like_{name}"), &source);
        assert!(
            matches!(&refused, Error::Undefined { undefined, unmodelled, .. } if undefined.contains_key(name) && unmodelled.is_empty()),
            "{refused}"
        );
    }
}

#[test]
fn assembly_that_the_model_would_not_see_is_refused_with_its_function() {
    for (name, instruction, text) in [
        ("locked", "lock incl %0", "`lock incl` in hidden"),
        ("swapped", "xchgl %%eax, %0", "`xchg` in hidden"),
        ("fenced", "mfence # %0", "`mfence` in hidden"),
        ("called", "syscall # %0", "`syscall` in hidden"),
        ("timed", "rdtsc # %0", "`rdtsc` in hidden"),
        ("pointed", "movq %%fs:0, %%rax # %0", "`mov %fs` in hidden"),
    ] {
        let source = format!(
            "int x;\nvoid hidden(void) {{ __asm__ volatile(\"{instruction}\" : \"+m\"(x) : : \"memory\"); }}\n"
        );
        let refused = refused(name, &source);
        assert!(matches!(refused, Error::Assembly(_)), "{refused}");
        assert!(refused.to_string().contains(text) && refused.to_string().contains("built-in"), "{refused}");
    }
    // Accepted: %fs in code that the compiler generates, and a hint to the processor.
    let folder = folder("hint");
    let file = folder.join("hint.c");
    std::fs::write(&file, "int x;\nvoid hint(void) { __asm__ volatile(\"pause\"); x++; }\n").unwrap();
    Instrument::new("hint").flag("-fstack-protector-all").file(file).build(&folder).unwrap();
}

#[test]
fn nothing_to_instrument_and_a_compiler_that_is_not_there_are_said() {
    let folder = folder("nothing");
    let refused = Instrument::new("nothing").build(&folder).unwrap_err();
    assert!(matches!(refused, Error::NoInput), "{refused}");
    let file = folder.join("any.c");
    std::fs::write(&file, "int x;\n").unwrap();
    let refused = Instrument::new("nothing").compiler("no-such-compiler").file(&file).build(&folder).unwrap_err();
    assert!(refused.to_string().contains("cannot run \"no-such-compiler\""), "{refused}");
    std::fs::write(&file, "int x\n").unwrap();
    let refused = Instrument::new("nothing").file(&file).build(&folder).unwrap_err();
    assert!(refused.to_string().contains("any.c:1"), "the compiler's own message: {refused}");
}

const COUNT: &str = "int count;\nint add(int n) { return count += n; }\n";

#[test]
fn files_an_object_and_an_archive_become_the_same_library() {
    let folder = folder("forms");
    let file = folder.join("count.c");
    std::fs::write(&file, COUNT).unwrap();
    let of_file = Instrument::new("twin").file(&file).build(&folder.join("file")).unwrap();
    let object = compiled(&folder, "count", COUNT, COMPILER_FLAGS);
    let of_object = Instrument::new("twin").object(&object).build(&folder.join("object")).unwrap();
    let packed = folder.join("libcount.a");
    let other =
        compiled(&folder, "other", "int add(int);\nint twice(int n) { return add(n) + add(n); }\n", COMPILER_FLAGS);
    let status = Command::new("ar").arg("rcs").arg(&packed).arg(&object).arg(&other).status().unwrap();
    assert!(status.success());
    let of_archive = Instrument::new("twin").object(&packed).build(&folder.join("archive")).unwrap();
    for archive in [&of_file, &of_object, &of_archive] {
        let symbols = symbols(archive);
        for symbol in ["T twin_add", " twin_count", "U latecall_model___tsan_write4"] {
            assert!(symbols.contains(symbol), "{}: {symbol}:\n{symbols}", archive.display());
        }
        assert!(!symbols.contains("U __tsan") && !symbols.contains(" add\n"), "{symbols}");
    }
    assert!(symbols(&of_archive).contains("T twin_twice"), "every member of an archive is in");
}

#[test]
fn the_twin_lives_beside_the_plain_build_in_one_binary() {
    let folder = folder("beside");
    let plain = compiled(&folder, "plain", COUNT, &[]);
    let file = folder.join("twin.c");
    std::fs::write(&file, COUNT).unwrap();
    let twin = Instrument::new("twin").file(&file).build(&folder).unwrap();
    // Stubs for the entry points that the linker needs.
    let main = compiled(
        &folder,
        "main",
        "int add(int); int twin_add(int); extern int count, twin_count;\n\
         void latecall_model___tsan_init(void) {}\n\
         void latecall_model___tsan_func_entry(void *p) { (void)p; }\n\
         void latecall_model___tsan_func_exit(void) {}\n\
         void latecall_model___tsan_read4(void *p) { (void)p; }\n\
         void latecall_model___tsan_write4(void *p) { (void)p; }\n\
         int main(void) { add(1); twin_add(2); twin_add(2); return count * 10 + twin_count; }\n",
        &[],
    );
    let binary = folder.join("both");
    let status = Command::new("cc").arg(&main).arg(&plain).arg(&twin).arg("-o").arg(&binary).status().unwrap();
    assert!(status.success());
    assert_eq!(Command::new(&binary).status().unwrap().code(), Some(14), "each has its own count");
}

#[test]
fn c_plus_plus_is_instrumented_by_the_compiler_for_it() {
    let folder = folder("cxx");
    let file = folder.join("shape.cpp");
    std::fs::write(&file, "struct Shape { virtual int area(); int side = 1; };\nint Shape::area() { return side; }\n")
        .unwrap();
    let archive = Instrument::new("shapes").file(&file).build(&folder).unwrap();
    assert!(symbols(&archive).contains("T shapes__ZN5Shape4areaEv"), "{}", symbols(&archive));
    let file = folder.join("thread.cpp");
    std::fs::write(&file, "#include <thread>\nvoid run(void (*f)()) { std::thread(f).join(); }\n").unwrap();
    let refused = Instrument::new("threads").file(&file).build(&folder).unwrap_err();
    assert!(refused.to_string().contains("std::thread"), "{refused}");
}

#[test]
fn a_function_that_is_refused_when_it_is_called_is_no_hindrance_to_building() {
    let folder = folder("deferred");
    let file = folder.join("deferred.c");
    let source = "#include <sys/socket.h>\nint waits(void) { return accept(0, 0, 0); }\nint binds(void) { return bind(0, 0, 0); }\n";
    std::fs::write(&file, source).unwrap();
    let some = Instrument::new("deferred").file(&file).refuse_when_called("accept");
    let refused = some.build(&folder).unwrap_err();
    assert!(refused.to_string().contains("`bind`") && !refused.to_string().contains("`accept`"), "{refused}");
    // The archive contains the reason and the advice, for the report of a search that meets the call.
    let why = |archive: &Path| String::from_utf8_lossy(&std::fs::read(archive).unwrap()).into_owned();
    std::fs::write(folder.join("parts.c"), "void other_part(void);\nvoid part(void) { other_part(); }\n").unwrap();
    let parts = Instrument::new("parts").file(folder.join("parts.c")).refuse_all_when_called().build(&folder).unwrap();
    assert!(why(&parts).contains("defined neither by the instrumented files nor by the C library (add the file that defines it: Instrument::file)"));
    for all in [some.refuse_when_called("bind"), Instrument::new("deferred").file(&file).refuse_all_when_called()] {
        let archive = all.build(&folder).unwrap();
        assert!(why(&archive).contains("opens a file or a socket"));
        let symbols = symbols(&archive);
        assert!(
            symbols.contains("T deferred.refused.accept") && symbols.contains("U latecall_model___refused"),
            "{symbols}"
        );
    }
}

/// A weak function is an optional hook: code calls it only if it is defined.
#[test]
fn a_weak_function_without_a_definition_is_null() {
    let source = "void hook(void) __attribute__((weak));\nint call(void) { if (!hook) return 7; hook(); return 3; }\n";
    let main = "int twin_call(void);\nvoid latecall_model___tsan_init(void) {}\n\
                void latecall_model___tsan_func_entry(void *p) { (void)p; }\n\
                void latecall_model___tsan_func_exit(void) {}\n\
                void hook(void) { __builtin_trap(); }\nint main(void) { return twin_call(); }\n";
    let folder = folder("weak");
    let file = folder.join("weak.c");
    std::fs::write(&file, source).unwrap();
    let main = compiled(&folder, "main", main, &[]);
    for (name, instrument) in
        [("as_it_is", Instrument::new("twin")), ("all_refused", Instrument::new("twin").refuse_all_when_called())]
    {
        let archive = instrument.file(&file).build(&folder.join(name)).unwrap();
        let binary = folder.join(name).join("program");
        let status = Command::new("cc").arg(&main).arg(&archive).arg("-o").arg(&binary).status().unwrap();
        assert!(status.success());
        assert_eq!(Command::new(&binary).status().unwrap().code(), Some(7), "{name}");
    }
    // The rule has exceptions: the C library defines it, another file requires it, or `refuse_when_called` names it.
    let blocking = source.replace("hook", "accept");
    assert!(refused("weak_blocking", &blocking).to_string().contains("`accept`"));
    let needs = folder.join("needs.c");
    std::fs::write(&needs, "void hook(void);\nvoid needs(void) { hook(); }\n").unwrap();
    let refused = Instrument::new("twin").file(&file).file(needs).build(&folder).unwrap_err();
    assert!(refused.to_string().contains("`hook` in 0.weak.o, 1.needs.o"), "{refused}");
    let asked = Instrument::new("twin").file(&file).refuse_when_called("hook").build(&folder).unwrap();
    assert!(symbols(&asked).contains("T twin.refused.hook"), "{}", symbols(&asked));
}
