//! Code pages: as many addresses as needed, on Linux on x86-64 and aarch64.
//!
//! No page is ever writable and executable, and none changes from one to the other: the code is mapped from the file of
//! the object that this crate is in, where `template.rs` has put it. That is what the loader does with all code, so it
//! needs no permission beyond that. If it fails nevertheless, there is no page, and the caller has the pool only. It
//! fails where
//!
//! * a filter or a policy refuses an executable mapping;
//! * `/proc` is not mounted, or the file has been replaced since the program started;
//! * the system's pages are not 4096 bytes large.
//!
//! A page is never unmapped, because C may call its addresses for ever.

use super::data::Data;

/// Whether this target has code pages.
pub(super) const SUPPORTED: bool = cfg!(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    not(miri)
));

/// The most arguments in general registers that a code page can pass on; see `template.rs`.
pub(super) const MOST_INTEGERS: usize = imp::MOST_INTEGERS;

/// Maps a page of code and one of data. Returns the addresses on it, all of them unused: 127, and no `Data` is in a
/// list.
///
/// `answer`: the signature's function, which takes a handle as its last argument and has `integers` arguments in
/// general registers before it. `None`: no page can be had.
pub(super) fn make(answer: *const (), integers: usize) -> Option<&'static [Data]> {
    imp::make(answer, integers)
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    not(miri)
))]
mod imp {
    pub(super) use super::super::template::MOST_INTEGERS;
    use super::super::template::{self, PAGE, PIECE, SLOTS};
    use super::Data;
    use std::ffi::{OsStr, c_int, c_void};
    use std::fs::File;
    use std::mem::ManuallyDrop;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;
    use std::ptr;

    unsafe extern "C" {
        fn mmap(at: *mut c_void, length: usize, access: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
        fn munmap(at: *mut c_void, length: usize) -> c_int;
        safe fn getpagesize() -> c_int;
    }
    const READ: c_int = 1;
    const WRITE: c_int = 2;
    const EXECUTE: c_int = 4;
    const PRIVATE: c_int = 2;
    const FIXED: c_int = 16;
    const ANONYMOUS: c_int = 32;
    const FAILED: usize = usize::MAX;

    /// The first words of a page of data; the code on the page reads them.
    #[repr(C)]
    struct Header {
        /// Where each piece of code jumps to.
        entry: *const (),
        /// Where the entry jumps to.
        answer: *const (),
        _rest: [usize; 2],
    }

    const _: () = assert!(size_of::<Data>() == PIECE && size_of::<Header>() == PIECE);

    pub(super) fn make(answer: *const (), integers: usize) -> Option<&'static [Data]> {
        if integers > MOST_INTEGERS || usize::try_from(getpagesize()) != Ok(PAGE) {
            return None;
        }
        let (file, offset) = of_template()?;
        let pages = Pages::reserve()?;
        pages.map_code(&file, offset)?;
        let code = pages.keep();
        let header = code.wrapping_add(PAGE).cast::<Header>();
        let words = Header { entry: template::entry(integers), answer, _rest: [0; 2] };
        // SAFETY: the second page is mapped, writable, aligned and larger than a `Header`. No other thread knows it.
        unsafe { header.write(words) };
        let first = header.wrapping_add(1).cast::<Data>();
        // SAFETY: behind the header the second page has room for SLOTS - 1 of them, its zero bytes are valid ones, and
        // it is never unmapped. Nothing but these shared references accesses it from here on, except the code
        // of the first page, which loads handles as `user_data` does.
        let data: &'static [Data] = unsafe { std::slice::from_raw_parts(first, SLOTS - 1) };
        for (index, data) in data.iter().enumerate() {
            data.set_code(code.wrapping_add((index + 1) * PIECE).cast());
        }
        Some(data)
    }

    /// Two pages of memory that may be written and not executed. Dropping this unmaps them.
    struct Pages(*mut u8);

    impl Pages {
        fn reserve() -> Option<Self> {
            // SAFETY: without FIXED a mapping replaces nothing.
            let at = unsafe { mmap(ptr::null_mut(), 2 * PAGE, READ | WRITE, PRIVATE | ANONYMOUS, -1, 0) };
            (at.addr() != FAILED).then_some(Self(at.cast()))
        }

        /// Puts the page of `file` at `offset` in the place of the first page, and checks that it is the template.
        fn map_code(&self, file: &File, offset: i64) -> Option<()> {
            // SAFETY: this replaces the first of the two pages, which belong to this value and are not in use.
            let code = unsafe { mmap(self.0.cast(), PAGE, READ | EXECUTE, PRIVATE | FIXED, file.as_raw_fd(), offset) };
            if code.addr() == FAILED {
                return None;
            }
            // SAFETY: the template is a page of this object's code, which is readable, and which nothing writes to.
            let template = unsafe { &*template::address().cast::<[u8; PAGE]>() };
            // SAFETY: the page has just been mapped readable, and `of_template` has found the file long enough.
            let mapped = unsafe { &*code.cast::<[u8; PAGE]>() };
            (template == mapped).then_some(())
        }

        /// The first page. Both stay mapped for ever.
        fn keep(self) -> *mut u8 {
            ManuallyDrop::new(self).0
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: the two pages belong to this value, and no reference to them is left.
            let _ = unsafe { munmap(self.0.cast(), 2 * PAGE) };
        }
    }

    /// The file that the template is in, and where in the file.
    fn of_template() -> Option<(File, i64)> {
        let wanted = template::address().addr();
        let maps = std::fs::read("/proc/self/maps").ok()?;
        let (path, offset) = maps.split(|&byte| byte == b'\n').find_map(|line| place_in_file(line, wanted))?;
        let file = File::open(OsStr::from_bytes(path)).ok()?;
        let is_there = file.metadata().ok()?.len() >= offset + PAGE as u64;
        is_there.then_some((file, i64::try_from(offset).ok()?))
    }

    /// The file of a line of `/proc/self/maps` that contains the page at `wanted`, and the page's offset in the file.
    fn place_in_file(line: &[u8], wanted: usize) -> Option<(&[u8], u64)> {
        // start-end access offset device inode path
        let mut rest = line;
        let mut word = || {
            let blanks = rest.iter().take_while(|&&byte| byte == b' ').count();
            let word = rest[blanks..].split(|&byte| byte == b' ').next().unwrap_or_default();
            rest = &rest[blanks + word.len()..];
            std::str::from_utf8(word).ok()
        };
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let (start, end) = word()?.split_once('-')?;
        let (start, end) = (usize::try_from(hex(start)?).ok()?, usize::try_from(hex(end)?).ok()?);
        if wanted < start || end < wanted + PAGE {
            return None;
        }
        let (_access, offset, _device, _inode) = (word()?, hex(word()?)?, word()?, word()?);
        let path = rest.trim_ascii_start();
        path.starts_with(b"/").then_some((path, offset + (wanted - start) as u64))
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    not(miri)
)))]
mod imp {
    use super::Data;

    pub(super) const MOST_INTEGERS: usize = 0;

    pub(super) fn make(_answer: *const (), _integers: usize) -> Option<&'static [Data]> {
        None
    }
}
