//! Functions of which it is known when they have answered what they have touched.

use super::address;
use super::strings::length;
use crate::entry::entry_points;
use crate::memory::{accessed, free, malloc, pointer, room};
use crate::pthread::{answer, answer_all, refuse_call, with_errno};
use crate::race::Access;
use crate::world::Pc;
use std::ffi::{CStr, c_char, c_int, c_void};

mod real {
    use super::{c_char, c_int, c_void};

    unsafe extern "C" {
        pub(super) fn strerror(number: c_int) -> *mut c_char;
        pub(super) fn strsignal(number: c_int) -> *mut c_char;
        pub(super) fn strerror_r(number: c_int, out: *mut c_char, size: usize) -> *mut c_char;
        pub(super) fn __xpg_strerror_r(number: c_int, out: *mut c_char, size: usize) -> c_int;
        pub(super) fn strftime(out: *mut c_char, size: usize, format: *const c_char, time: *const c_void) -> usize;
        pub(super) fn inet_ntop(family: c_int, from: *const c_void, out: *mut c_char, size: u32) -> *const c_char;
        pub(super) fn gethostname(out: *mut c_char, size: usize) -> c_int;
        pub(super) fn confstr(name: c_int, out: *mut c_char, size: usize) -> usize;
        pub(super) fn getgroups(count: c_int, out: *mut u32) -> c_int;
        pub(super) fn regexec(
            pattern: usize,
            text: *const c_char,
            count: usize,
            out: *mut libc::regmatch_t,
            flags: c_int,
        ) -> c_int;
        pub(super) fn regerror(error: c_int, pattern: usize, out: *mut c_char, size: usize) -> usize;
        pub(super) fn dirname(path: *mut c_char) -> *mut c_char;
        pub(super) fn __xpg_basename(path: *mut c_char) -> *mut c_char;
        pub(super) fn mbrtowc(out: *mut i32, from: *const c_char, most: usize, state: *mut c_void) -> usize;
        pub(super) fn mbrlen(from: *const c_char, most: usize, state: *mut c_void) -> usize;
        pub(super) fn mbsinit(state: *const c_void) -> c_int;
        pub(super) fn wcrtomb(out: *mut c_char, wide: i32, state: *mut c_void) -> usize;
        pub(super) fn mbtowc(out: *mut i32, from: *const c_char, most: usize) -> c_int;
        pub(super) fn wctomb(out: *mut c_char, wide: i32) -> c_int;
        pub(super) fn wcswidth(text: *const i32, most: usize) -> c_int;
        pub(super) fn iconv_open(to: *const c_char, from: *const c_char) -> usize;
        pub(super) fn iconv(
            converter: usize,
            from: *mut usize,
            from_left: *mut usize,
            to: *mut usize,
            to_left: *mut usize,
        ) -> usize;
        pub(super) fn frexp(number: f64, out: *mut c_int) -> f64;
        pub(super) fn frexpf(number: f32, out: *mut c_int) -> f32;
        pub(super) fn modf(number: f64, out: *mut f64) -> f64;
        pub(super) fn modff(number: f32, out: *mut f32) -> f32;
        pub(super) fn remquo(a: f64, b: f64, out: *mut c_int) -> f64;
        pub(super) fn sincos(number: f64, sine: *mut f64, cosine: *mut f64);
        pub(super) fn sincosf(number: f32, sine: *mut f32, cosine: *mut f32);
    }
}

/// As much of the memory that C says is there as the model says.
fn within(out: usize, size: usize) -> usize {
    // Null stands for none, where it may be passed.
    if out == 0 { size } else { size.min(room(out)) }
}

/// A text for each number, that lasts: the C library puts those that it does not know into one place for all threads.
fn lasting(text: *const c_char) -> usize {
    use crate::std_types::{Mutex, lock};
    use std::collections::BTreeSet;
    static TEXTS: Mutex<BTreeSet<&'static CStr>> = Mutex::new(BTreeSet::new());
    // SAFETY: the C library answers a string.
    let text = unsafe { CStr::from_ptr(text) };
    let mut texts = lock(&TEXTS);
    if !texts.contains(text) {
        texts.insert(Box::leak(text.to_owned().into_boxed_c_str()));
    }
    texts.get(text).map_or(0, |text| text.as_ptr().expose_provenance())
}

extern "C-unwind" fn strerror(number: c_int, _: Pc) -> usize {
    // SAFETY: it takes any number.
    lasting(with_errno(|| unsafe { real::strerror(number) }))
}

extern "C-unwind" fn strsignal(number: c_int, _: Pc) -> usize {
    // SAFETY: it takes any number.
    lasting(with_errno(|| unsafe { real::strsignal(number) }))
}

/// GNU's: it need not use the memory.
extern "C-unwind" fn strerror_r(number: c_int, out: usize, size: usize, pc: Pc) -> usize {
    let mut own = [0; 64];
    // SAFETY: there is as much memory.
    let text = with_errno(|| unsafe { real::strerror_r(number, own.as_mut_ptr(), own.len().min(size)) });
    if !std::ptr::eq(text, own.as_ptr()) {
        return text.expose_provenance();
    }
    // SAFETY: (1) C passes a buffer and its size to `strerror_r`.
    unsafe { hand_over(&own, out, size, pc) };
    out
}

extern "C-unwind" fn strerror_r_of_posix(number: c_int, out: usize, size: usize, pc: Pc) -> c_int {
    let mut own = [0; 64];
    // SAFETY: there is as much memory.
    let result = with_errno(|| unsafe { real::__xpg_strerror_r(number, own.as_mut_ptr(), own.len().min(size)) });
    // SAFETY: (1) C passes a buffer and its size to `__xpg_strerror_r`.
    unsafe { hand_over(&own, out, size, pc) };
    result
}

/// Writes a string, or as much of it as fits.
///
/// # Safety
///
/// 1. C passed `out` as a place for `size` characters, to a function that writes a text there.
unsafe fn hand_over(own: &[c_char], out: usize, size: usize, pc: Pc) {
    let length = own.iter().position(|&it| it == 0).map_or(own.len(), |end| end + 1).min(size);
    // SAFETY: (1) the caller guarantees by clause 1 that `size` characters fit, and `length` is no more than that.
    unsafe { answer_all(out, &own[..length], pc) };
}

extern "C-unwind" fn strftime(out: usize, size: usize, format: usize, time: usize, pc: Pc) -> usize {
    length::<u8>(format, usize::MAX, pc);
    accessed(time, size_of::<libc::tm>(), Access::Read, pc);
    let mut own = vec![0; size.min(1 << 16)];
    // SAFETY: there is as much memory; a string and a time.
    let written = with_errno(|| unsafe { real::strftime(own.as_mut_ptr(), own.len(), pointer(format), pointer(time)) });
    if written > 0 {
        // SAFETY: (1) C passes a buffer and its size to `strftime`.
        unsafe { hand_over(&own[..=written], out, size, pc) };
    }
    written
}

extern "C-unwind" fn inet_ntop(family: c_int, from: usize, out: usize, size: u32, pc: Pc) -> usize {
    accessed(from, address(family as usize), Access::Read, pc);
    let mut own = [0; 46];
    let most = size.min(own.len() as u32);
    // SAFETY: an address of this family, and as much memory.
    let text = with_errno(|| unsafe { real::inet_ntop(family, pointer(from), own.as_mut_ptr(), most) });
    if text.is_null() {
        return 0;
    }
    // SAFETY: (1) C passes a buffer and its size to `inet_ntop`.
    unsafe { hand_over(&own, out, size as usize, pc) };
    out
}

extern "C-unwind" fn gethostname(out: usize, size: usize, pc: Pc) -> c_int {
    let mut own = [0; 256];
    // SAFETY: there is as much memory.
    let result = with_errno(|| unsafe { real::gethostname(own.as_mut_ptr(), own.len().min(size)) });
    // SAFETY: (1) C passes a buffer and its size to `gethostname`.
    unsafe { hand_over(&own, out, size, pc) };
    result
}

extern "C-unwind" fn confstr(name: c_int, out: usize, size: usize, pc: Pc) -> usize {
    let mut own = vec![0; size.min(1 << 16)];
    // SAFETY: there is as much memory.
    let needed = with_errno(|| unsafe { real::confstr(name, own.as_mut_ptr(), own.len()) });
    // SAFETY: (1) C passes a buffer and its size to `confstr`.
    unsafe { hand_over(&own[..needed.min(own.len())], out, size, pc) };
    needed
}

extern "C-unwind" fn getgroups(count: c_int, out: usize, pc: Pc) -> c_int {
    let mut own = vec![0_u32; usize::try_from(count).unwrap_or_default().min(1 << 16)];
    // SAFETY: there is as much memory.
    let found = with_errno(|| unsafe { real::getgroups(own.len() as c_int, own.as_mut_ptr()) });
    if let (1.., Ok(groups)) = (count, usize::try_from(found)) {
        // SAFETY: (1) C passes a place for as many groups to `getgroups`.
        unsafe { answer_all(out, &own[..groups], pc) };
    }
    found
}

extern "C-unwind" fn regexec(pattern: usize, text: usize, count: usize, out: usize, flags: c_int, pc: Pc) -> c_int {
    /// The string is a part of another, and `out` says which.
    const PART: c_int = 4;
    /// No place in a string.
    const NOTHING: libc::regmatch_t = libc::regmatch_t { rm_so: c_int::MIN, rm_eo: c_int::MIN };
    if flags & PART != 0 {
        refuse_call("regexec with REG_STARTEND", pc);
    }
    accessed(pattern, size_of::<libc::regex_t>(), Access::Read, pc);
    length::<u8>(text, usize::MAX, pc);
    let mut own = vec![NOTHING; count.min(1 << 16)];
    // SAFETY: a pattern and a string, which have been checked, and memory for as many.
    let result = unsafe { real::regexec(pattern, pointer(text), own.len(), own.as_mut_ptr(), flags) };
    // Otherwise it was compiled with `REG_NOSUB`, or nothing fits.
    if own.first().is_some_and(|first| first.rm_so != NOTHING.rm_so) {
        accessed(out, count.saturating_mul(size_of::<libc::regmatch_t>()), Access::Write, pc);
        // SAFETY: C passes memory for as many, which has been checked.
        unsafe { pointer::<libc::regmatch_t>(out).copy_from_nonoverlapping(own.as_ptr(), own.len()) };
    }
    result
}

extern "C-unwind" fn regerror(error: c_int, pattern: usize, out: usize, size: usize, pc: Pc) -> usize {
    let mut own = [0; 256];
    // SAFETY: there is as much memory; the pattern is not looked at.
    let needed = unsafe { real::regerror(error, pattern, own.as_mut_ptr(), own.len().min(size)) };
    // SAFETY: (1) C passes a buffer and its size to `regerror`.
    unsafe { hand_over(&own, out, size, pc) };
    needed
}

/// They may put an end into the path.
fn shortened(path: usize, pc: Pc, shorten: unsafe extern "C" fn(*mut c_char) -> *mut c_char) -> usize {
    if path == 0 {
        // SAFETY: null stands for the folder that it is in.
        return unsafe { shorten(std::ptr::null_mut()) }.expose_provenance();
    }
    let size = length::<u8>(path, usize::MAX, pc) + 1;
    // SAFETY: so much has been read.
    let bytes = |start: usize| unsafe { std::slice::from_raw_parts(pointer::<u8>(start), size) };
    let before = bytes(path).to_vec();
    let mut copy = before.clone();
    let own = copy.as_mut_ptr();
    // SAFETY: a string.
    let found = unsafe { shorten(own.cast()) };
    for at in (0..size).filter(|&at| before[at] != copy[at]) {
        accessed(path + at, 1, Access::Write, pc);
        // SAFETY: a part of the string.
        unsafe { pointer::<u8>(path + at).write(copy[at]) };
    }
    let offset = found.addr().wrapping_sub(own.addr());
    if offset < size { path + offset } else { found.expose_provenance() }
}

extern "C-unwind" fn dirname(path: usize, pc: Pc) -> usize {
    shortened(path, pc, real::dirname)
}

extern "C-unwind" fn basename_of_posix(path: usize, pc: Pc) -> usize {
    shortened(path, pc, real::__xpg_basename)
}

/// What a function has read of a character of several bytes that says how many they were, or that they are none.
fn character_read(from: usize, [most, room]: [usize; 2], found: usize, pc: Pc) {
    // Where it found no end of one it wanted more than there is room for, if C says that there is more.
    let read = if found <= most { found.max(1) } else { room + 1 };
    accessed(from, read.min(most), Access::Read, pc);
}

/// What the C library keeps of a character that has not come to its end.
fn state(state: usize, pc: Pc) {
    if state != 0 {
        accessed(state, 8, Access::Write, pc);
    }
}

extern "C-unwind" fn mbrtowc(out: usize, from: usize, most: usize, kept: usize, pc: Pc) -> usize {
    state(kept, pc);
    let mut wide = 0;
    let room = within(from, most);
    // SAFETY: as many bytes as there is room for, and a state, which has been checked.
    let found = with_errno(|| unsafe { real::mbrtowc(&raw mut wide, pointer(from), room, pointer(kept)) });
    if from != 0 {
        character_read(from, [most, room], found, pc);
        if out != 0 && found <= most {
            // SAFETY: (1) C passes a place for a wide character to `mbrtowc`.
            unsafe { answer(out, wide, pc) };
        }
    }
    found
}

extern "C-unwind" fn mbrlen(from: usize, most: usize, kept: usize, pc: Pc) -> usize {
    state(kept, pc);
    let room = within(from, most);
    // SAFETY: `room` bytes may be read at `from`, and `state` has checked `kept`.
    let found = with_errno(|| unsafe { real::mbrlen(pointer(from), room, pointer(kept)) });
    if from != 0 {
        character_read(from, [most, room], found, pc);
    }
    found
}

extern "C-unwind" fn mbtowc(out: usize, from: usize, most: usize, pc: Pc) -> c_int {
    let mut wide = 0;
    let room = within(from, most);
    // SAFETY: `room` bytes may be read at `from`; `wide` is a local variable.
    let found = with_errno(|| unsafe { real::mbtowc(&raw mut wide, pointer(from), room) });
    if from != 0 {
        character_read(from, [most, room], usize::try_from(found).unwrap_or(usize::MAX), pc);
        if out != 0 && found >= 0 {
            // SAFETY: (1) C passes a place for a wide character to `mbtowc`.
            unsafe { answer(out, wide, pc) };
        }
    }
    found
}

extern "C-unwind" fn mblen(from: usize, most: usize, pc: Pc) -> c_int {
    mbtowc(0, from, most, pc)
}

extern "C-unwind" fn mbsinit(kept: usize, pc: Pc) -> c_int {
    if kept != 0 {
        accessed(kept, 8, Access::Read, pc);
    }
    // SAFETY: a state, which has been checked, or none.
    unsafe { real::mbsinit(pointer(kept)) }
}

/// No character has more bytes.
const LONGEST: usize = 16;

extern "C-unwind" fn wcrtomb(out: usize, wide: i32, kept: usize, pc: Pc) -> usize {
    state(kept, pc);
    let mut own = [0; LONGEST];
    let place = if out == 0 { std::ptr::null_mut() } else { own.as_mut_ptr() };
    // SAFETY: there is room for any character, and a state, which has been checked.
    let found = with_errno(|| unsafe { real::wcrtomb(place, wide, pointer(kept)) });
    if out != 0 && found <= LONGEST {
        // SAFETY: (1) C passes a place for a character to `wcrtomb`, which writes its bytes there.
        unsafe { answer_all(out, &own[..found], pc) };
    }
    found
}

extern "C-unwind" fn wctomb(out: usize, wide: i32, pc: Pc) -> c_int {
    let mut own = [0; LONGEST];
    let place = if out == 0 { std::ptr::null_mut() } else { own.as_mut_ptr() };
    // SAFETY: there is room for any character.
    let found = with_errno(|| unsafe { real::wctomb(place, wide) });
    if let (true, Ok(length)) = (out != 0, usize::try_from(found)) {
        // SAFETY: (1) C passes a place for a character to `wctomb`, which writes its bytes there.
        unsafe { answer_all(out, &own[..length], pc) };
    }
    found
}

extern "C-unwind" fn wcswidth(text: usize, most: usize, pc: Pc) -> c_int {
    let length = length::<i32>(text, most, pc);
    // SAFETY: so much has been read.
    unsafe { real::wcswidth(pointer(text), length) }
}

extern "C-unwind" fn iconv_open(to: usize, from: usize, pc: Pc) -> usize {
    for name in [to, from] {
        length::<u8>(name, usize::MAX, pc);
    }
    // SAFETY: two strings.
    with_errno(|| unsafe { real::iconv_open(pointer(to), pointer(from)) })
}

extern "C-unwind" fn iconv(
    converter: usize,
    from: usize,
    from_left: usize,
    to: usize,
    to_left: usize,
    pc: Pc,
) -> usize {
    // SAFETY: C passes places for a pointer or a number, which are checked before they are read.
    let value = |place: usize| unsafe { pointer::<usize>(place).read() };
    let places = [from, from_left, to, to_left];
    let now = || places.map(|place| if place == 0 { 0 } else { value(place) });
    for place in places.into_iter().filter(|&place| place != 0) {
        accessed(place, size_of::<usize>(), Access::Write, pc);
    }
    let [input, bytes, output, space] = now();
    // What is there may be less than C says: no more is converted, or written, than that, and what is beyond convicts below.
    let mut cut = [input, within(input, bytes), output, within(output, space)];
    let [input_place, bytes_place, output_place, space_place] = cut.each_mut().map(|it| &raw mut *it);
    let given = |place: usize, own: *mut usize| if place == 0 { std::ptr::null_mut() } else { own };
    // SAFETY: a converter of the C library's, and as much memory as has been found to be there.
    let result = with_errno(|| unsafe {
        real::iconv(
            converter,
            given(from, input_place),
            given(from_left, bytes_place),
            given(to, output_place),
            given(to_left, space_place),
        )
    });
    // The number that the converter has just left.
    let why = if result == usize::MAX { std::io::Error::last_os_error().raw_os_error() } else { None };
    let (read, written) = (cut[0] - input, cut[2] - output);
    // It stopped where the room did, and would have gone on: all that there is, or half a character.
    let beyond =
        |room: usize, said: usize, stopped: bool, done: usize| if room < said && stopped { said } else { done };
    let room = within(input, bytes);
    accessed(input, beyond(room, bytes, read == room || why == Some(libc::EINVAL), read), Access::Read, pc);
    accessed(output, beyond(within(output, space), space, why == Some(libc::E2BIG), written), Access::Write, pc);
    for (place, value) in places.into_iter().zip([cut[0], bytes - read, cut[2], space - written]) {
        if place != 0 {
            // SAFETY: C passes a pointer to a number here, or null; the access was checked above.
            unsafe { pointer::<usize>(place).write(value) };
        }
    }
    result
}

/// A set of processors is a block of the model's.
extern "C-unwind" fn cpu_alloc(count: usize, pc: Pc) -> usize {
    malloc(count.div_ceil(64) * 8, pc)
}

extern "C-unwind" fn cpu_free(set: usize, pc: Pc) {
    free(set, pc);
}

/// How many threads there are is the code's business.
extern "C-unwind" fn set_concurrency(level: c_int, _: Pc) -> c_int {
    if level < 0 { libc::EINVAL } else { 0 }
}

extern "C-unwind" fn concurrency(_: Pc) -> c_int {
    0
}

/// A function that answers one thing more, at this place.
fn at_place<O, R>(out: usize, pc: Pc, f: impl FnOnce(*mut O) -> R) -> R {
    accessed(out, size_of::<O>(), Access::Write, pc);
    f(pointer(out))
}

extern "C-unwind" fn frexp(number: f64, out: usize, pc: Pc) -> f64 {
    // SAFETY: a place for what it answers besides, which has been checked.
    at_place(out, pc, |out| unsafe { real::frexp(number, out) })
}

extern "C-unwind" fn frexpf(number: f32, out: usize, pc: Pc) -> f32 {
    // SAFETY: `out` is a place of the type that C declares, and has been checked to be writable.
    at_place(out, pc, |out| unsafe { real::frexpf(number, out) })
}

extern "C-unwind" fn modf(number: f64, out: usize, pc: Pc) -> f64 {
    // SAFETY: `out` is a place of the type that C declares, and has been checked to be writable.
    at_place(out, pc, |out| unsafe { real::modf(number, out) })
}

extern "C-unwind" fn modff(number: f32, out: usize, pc: Pc) -> f32 {
    // SAFETY: `out` is a place of the type that C declares, and has been checked to be writable.
    at_place(out, pc, |out| unsafe { real::modff(number, out) })
}

extern "C-unwind" fn remquo(a: f64, b: f64, out: usize, pc: Pc) -> f64 {
    // SAFETY: `out` is a place of the type that C declares, and has been checked to be writable.
    at_place(out, pc, |out| unsafe { real::remquo(a, b, out) })
}

extern "C-unwind" fn sincos(number: f64, sine: usize, cosine: usize, pc: Pc) {
    // SAFETY: both are places of the type that C declares, and have been checked to be writable.
    at_place(sine, pc, |sine| at_place(cosine, pc, |cosine| unsafe { real::sincos(number, sine, cosine) }));
}

extern "C-unwind" fn sincosf(number: f32, sine: usize, cosine: usize, pc: Pc) {
    // SAFETY: both are places of the type that C declares, and have been checked to be writable.
    at_place(sine, pc, |sine| at_place(cosine, pc, |cosine| unsafe { real::sincosf(number, sine, cosine) }));
}

entry_points! {
    strerror(1) => strerror;
    strsignal(1) => strsignal;
    strerror_r(3) => strerror_r;
    __xpg_strerror_r(3) => strerror_r_of_posix;
    strftime(4) => strftime;
    inet_ntop(4) => inet_ntop;
    gethostname(2) => gethostname;
    confstr(3) => confstr;
    getgroups(2) => getgroups;
    regexec(5) => regexec;
    regerror(4) => regerror;
    dirname(1) => dirname;
    __xpg_basename(1) => basename_of_posix;
    mbrtowc(4) => mbrtowc;
    mbrlen(3) => mbrlen;
    __mbrlen(3) => mbrlen;
    mbsinit(1) => mbsinit;
    mbtowc(3) => mbtowc;
    mblen(2) => mblen;
    wcrtomb(3) => wcrtomb;
    wctomb(2) => wctomb;
    wcswidth(2) => wcswidth;
    iconv_open(2) => iconv_open;
    iconv(5) => iconv;
    __sched_cpualloc(1) => cpu_alloc;
    __sched_cpufree(1) => cpu_free;
    pthread_setconcurrency(1) => set_concurrency;
    pthread_getconcurrency(0) => concurrency;
    frexp(1) => frexp;
    frexpf(1) => frexpf;
    modf(1) => modf;
    modff(1) => modff;
    remquo(1) => remquo;
    sincos(2) => sincos;
    sincosf(2) => sincosf;
}
