//! Functions that the C library does for C code: what they read and write is checked, and then they are called, or done here.
//!
//! How the parts fit: this file has those whose arguments tell what they touch, as a table. `answers` has those of which that is known when
//! they have answered: they write to memory of the model's, and what they have written is handed over. `strings` looks for ends;
//! `formatted` and `scanned` read formats; `numbers` are read from texts; `sorted` compares by C code. What allocates and moves is in
//! `memory`, what blocks in `pthread`, what waits for descriptors in `descriptors`.

mod answers;
mod formatted;
mod numbers;
mod scanned;
mod sorted;
mod strings;

use super::entry::entry_points;
use super::memory::accessed;
use super::pthread::with_errno;
use super::race::Access;
use super::world::Pc;
use std::ffi::{c_char, c_int, c_long, c_void};
use strings::length;

/// What an argument is, and what is done to what it points to.
#[derive(Debug, Clone, Copy)]
enum Argument {
    /// A number, or a pointer that the C library keeps to itself.
    Value,
    /// A string, of which all is read.
    Text,
    /// The same, or null.
    TextOrNull,
    /// So many bytes are read.
    Read(usize),
    /// So many bytes are written, and read besides, for some.
    Write(usize),
}

use Argument::{Read, Text, TextOrNull, Value, Write};

impl Argument {
    fn check(self, argument: usize, pc: Pc) {
        match self {
            Self::TextOrNull if argument == 0 => {}
            Self::Value => {}
            Self::Text | Self::TextOrNull => {
                length::<u8>(argument, usize::MAX, pc);
            }
            Self::Read(size) => accessed(argument, size, Access::Read, pc),
            Self::Write(size) => accessed(argument, size, Access::Write, pc),
        }
    }
}

/// Declares entry points of functions with integer arguments: `name(arity)(argument: what, …) -> result;`.
macro_rules! library {
    ($($name:ident ($arity:tt) ($($argument:ident: $what:expr),*) -> $result:ty;)*) => {
        mod real {
            use super::{c_char, c_int, c_long, c_void};

            unsafe extern "C" {
                $(pub(super) fn $name($($argument: usize),*) -> $result;)*
            }
        }
        $(
            extern "C-unwind" fn $name($($argument: usize,)* pc: Pc) -> $result {
                $(Argument::check($what, $argument, pc);)*
                // SAFETY: as C calls it; what the model knows of what it touches has just been checked.
                with_errno(|| unsafe { real::$name($($argument),*) })
            }
        )*
        entry_points! { $($name($arity) => $name;)* }
    };
}

const ATTRIBUTES: usize = size_of::<libc::pthread_attr_t>();
const SIGNALS: usize = size_of::<libc::sigset_t>();
const CALENDAR: usize = size_of::<libc::tm>();
const PATTERN: usize = size_of::<libc::regex_t>();
const INT: usize = size_of::<c_int>();
const LONG: usize = size_of::<c_long>();

library! {
    // Strings.
    strverscmp(2)(a: Text, b: Text) -> c_int;
    strcoll(2)(a: Text, b: Text) -> c_int;
    fnmatch(3)(pattern: Text, text: Text, flags: Value) -> c_int;
    basename(1)(path: Text) -> *mut c_char;
    getenv(1)(name: Text) -> *mut c_char;
    secure_getenv(1)(name: Text) -> *mut c_char;
    gettext(1)(text: Text) -> *mut c_char;
    dgettext(2)(domain: TextOrNull, text: Text) -> *mut c_char;
    dcgettext(3)(domain: TextOrNull, text: Text, category: Value) -> *mut c_char;
    ngettext(3)(one: Text, many: Text, number: Value) -> *mut c_char;
    dngettext(4)(domain: TextOrNull, one: Text, many: Text, number: Value) -> *mut c_char;
    dcngettext(5)(domain: TextOrNull, one: Text, many: Text, number: Value, category: Value) -> *mut c_char;
    newlocale(3)(categories: Value, name: Text, base: Value) -> *mut c_void;
    wctype(1)(name: Text) -> c_long;
    regcomp(3)(pattern: Write(PATTERN), text: Text, flags: Value) -> c_int;
    regfree(1)(pattern: Write(PATTERN)) -> ();
    // Streams.
    puts(1)(text: Text) -> c_int;
    fputs(2)(text: Text, stream: Value) -> c_int;
    fputs_unlocked(2)(text: Text, stream: Value) -> c_int;
    fwrite(4)(from: Read(each.saturating_mul(count)), each: Value, count: Value, stream: Value) -> usize;
    fwrite_unlocked(4)(from: Read(each.saturating_mul(count)), each: Value, count: Value, stream: Value) -> usize;
    perror(1)(text: TextOrNull) -> ();
    // Time.
    asctime_r(2)(time: Read(CALENDAR), out: Write(26)) -> *mut c_char;
    ctime_r(2)(time: Read(LONG), out: Write(26)) -> *mut c_char;
    localtime_r(2)(time: Read(LONG), out: Write(CALENDAR)) -> *mut c_void;
    gmtime_r(2)(time: Read(LONG), out: Write(CALENDAR)) -> *mut c_void;
    mktime(1)(time: Write(CALENDAR)) -> c_long;
    timegm(1)(time: Write(CALENDAR)) -> c_long;
    strptime(3)(text: Text, format: Text, out: Write(CALENDAR)) -> *mut c_char;
    // Addresses.
    inet_addr(1)(text: Text) -> u32;
    inet_aton(2)(text: Text, out: Write(4)) -> c_int;
    inet_pton(3)(family: Value, text: Text, out: Write(address(family))) -> c_int;
    // Signals.
    sigemptyset(1)(set: Write(SIGNALS)) -> c_int;
    sigfillset(1)(set: Write(SIGNALS)) -> c_int;
    sigaddset(2)(set: Write(SIGNALS), signal: Value) -> c_int;
    sigdelset(2)(set: Write(SIGNALS), signal: Value) -> c_int;
    sigismember(2)(set: Read(SIGNALS), signal: Value) -> c_int;
    sigisemptyset(1)(set: Read(SIGNALS)) -> c_int;
    sigorset(3)(out: Write(SIGNALS), a: Read(SIGNALS), b: Read(SIGNALS)) -> c_int;
    sigandset(3)(out: Write(SIGNALS), a: Read(SIGNALS), b: Read(SIGNALS)) -> c_int;
    // Attributes of threads.
    pthread_attr_init(1)(attributes: Write(ATTRIBUTES)) -> c_int;
    pthread_attr_destroy(1)(attributes: Write(ATTRIBUTES)) -> c_int;
    pthread_attr_setdetachstate(2)(attributes: Write(ATTRIBUTES), state: Value) -> c_int;
    pthread_attr_setstacksize(2)(attributes: Write(ATTRIBUTES), size: Value) -> c_int;
    pthread_attr_setguardsize(2)(attributes: Write(ATTRIBUTES), size: Value) -> c_int;
    pthread_attr_setscope(2)(attributes: Write(ATTRIBUTES), scope: Value) -> c_int;
    pthread_attr_setinheritsched(2)(attributes: Write(ATTRIBUTES), inherits: Value) -> c_int;
    pthread_attr_setschedpolicy(2)(attributes: Write(ATTRIBUTES), policy: Value) -> c_int;
    pthread_attr_setschedparam(2)(attributes: Write(ATTRIBUTES), parameters: Read(INT)) -> c_int;
    pthread_attr_setstack(3)(attributes: Write(ATTRIBUTES), stack: Value, size: Value) -> c_int;
    pthread_attr_setaffinity_np(3)(attributes: Write(ATTRIBUTES), size: Value, set: Read(size)) -> c_int;
    pthread_attr_getdetachstate(2)(attributes: Read(ATTRIBUTES), out: Write(INT)) -> c_int;
    pthread_attr_getstacksize(2)(attributes: Read(ATTRIBUTES), out: Write(LONG)) -> c_int;
    pthread_attr_getguardsize(2)(attributes: Read(ATTRIBUTES), out: Write(LONG)) -> c_int;
    pthread_attr_getscope(2)(attributes: Read(ATTRIBUTES), out: Write(INT)) -> c_int;
    pthread_attr_getinheritsched(2)(attributes: Read(ATTRIBUTES), out: Write(INT)) -> c_int;
    pthread_attr_getschedpolicy(2)(attributes: Read(ATTRIBUTES), out: Write(INT)) -> c_int;
    pthread_attr_getschedparam(2)(attributes: Read(ATTRIBUTES), out: Write(INT)) -> c_int;
    pthread_attr_getstack(3)(attributes: Read(ATTRIBUTES), stack: Write(LONG), size: Write(LONG)) -> c_int;
    pthread_attr_getaffinity_np(3)(attributes: Read(ATTRIBUTES), size: Value, out: Write(size)) -> c_int;
    pthread_barrierattr_init(1)(attributes: Write(INT)) -> c_int;
    pthread_barrierattr_destroy(1)(attributes: Write(INT)) -> c_int;
    // The system.
    uname(1)(out: Write(size_of::<libc::utsname>())) -> c_int;
    getrlimit(2)(resource: Value, out: Write(size_of::<libc::rlimit>())) -> c_int;
    getresuid(3)(real: Write(INT), effective: Write(INT), saved: Write(INT)) -> c_int;
    getresgid(3)(real: Write(INT), effective: Write(INT), saved: Write(INT)) -> c_int;
    sched_getparam(2)(process: Value, out: Write(INT)) -> c_int;
    sched_getaffinity(3)(process: Value, size: Value, out: Write(size)) -> c_int;
    __sched_cpucount(2)(size: Value, set: Read(size)) -> c_int;
    rand_r(1)(seed: Write(INT)) -> c_int;
    // They touch nothing, and say in `errno` what is wrong.
    sysconf(1)(name: Value) -> c_long;
    getpriority(2)(which: Value, who: Value) -> c_int;
    getpgid(1)(process: Value) -> c_int;
    getsid(1)(process: Value) -> c_int;
    sched_getscheduler(1)(process: Value) -> c_int;
    isatty(1)(descriptor: Value) -> c_int;
    fileno(1)(stream: Value) -> c_int;
}

/// The bytes of an address of this family, of which there are two.
fn address(family: usize) -> usize {
    match family as c_int {
        libc::AF_INET => 4,
        libc::AF_INET6 => 16,
        _ => 0,
    }
}

/// What instrumented code may call, for comparing with what it is redirected to.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let tables = [NAMES, answers::NAMES, strings::NAMES, sorted::NAMES, numbers::NAMES];
    let variadic =
        [formatted::NAMES, formatted::VARIADIC, &[formatted::WRITTEN_OUT], scanned::NAMES, scanned::VARIADIC];
    tables.into_iter().chain(variadic).flatten().copied()
}
