//! Code pages: as many addresses as needed, on Linux on x86-64 and aarch64.
//!
//! No page is ever writable and executable, and none changes from one to the other: the code is mapped from the file of
//! the object that this crate is in, where `template.rs` has put it. That is what the loader does with all code, so it
//! needs no permission beyond that. If it fails nevertheless, there is no page, and the caller has the pool only. It
//! fails where
//!
//! * a filter or a policy refuses an executable mapping;
//! * `/proc` is not mounted, or the file has been deleted or replaced since it was loaded;
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

/// Maps `count` pages of code, each with a page of data. Hands out the 127 addresses on each; none of them is in a
/// list. Stops early, or before the first, if no more pages can be had.
///
/// `answer`: the signature's function, which takes a handle as its last argument and has `integers` arguments in
/// general registers before it.
pub(super) fn make(answer: *const (), integers: usize, count: usize, hand_out: impl FnMut(&'static [Data])) {
    let _ = imp::make(answer, integers, count, hand_out);
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

    pub(super) fn make(
        answer: *const (),
        integers: usize,
        count: usize,
        mut hand_out: impl FnMut(&'static [Data]),
    ) -> Option<()> {
        if integers > MOST_INTEGERS || usize::try_from(getpagesize()) != Ok(PAGE) {
            return None;
        }
        let (source, first) = Source::find()?;
        hand_out(first.keep(answer, integers));
        for _ in 1..count {
            hand_out(source.map()?.keep(answer, integers));
        }
        Some(())
    }

    /// The file that the template was loaded from, and where in the file.
    struct Source {
        file: File,
        offset: i64,
    }

    impl Source {
        /// The source, and the first pages from it.
        fn find() -> Option<(Self, Pages)> {
            let maps = std::fs::read("/proc/self/maps").ok()?;
            let template = place_in_file(&maps, template::address().addr())?;
            let file = File::open(OsStr::from_bytes(template.path)).ok()?;
            let is_there = file.metadata().ok()?.len() >= template.offset + PAGE as u64;
            let offset = is_there.then_some(i64::try_from(template.offset).ok()?)?;
            let source = Self { file, offset };
            let pages = source.map()?;
            // The path may lead to another file by now, with the same contents for the time being. The kernel says
            // which file each mapping is of.
            let maps = std::fs::read("/proc/self/maps").ok()?;
            let mapped = place_in_file(&maps, pages.0.addr())?;
            (mapped.file == template.file && pages.is_template()).then_some((source, pages))
        }

        /// Maps the template, and a page of data behind it.
        fn map(&self) -> Option<Pages> {
            let file = self.file.as_raw_fd();
            // SAFETY: without FIXED a mapping replaces nothing.
            let at = unsafe { mmap(ptr::null_mut(), 2 * PAGE, READ | EXECUTE, PRIVATE, file, self.offset) };
            if at.addr() == FAILED {
                return None;
            }
            let data = at.wrapping_byte_add(PAGE);
            // SAFETY: this replaces the second of the two pages, which were mapped just now and are not in use.
            let data = unsafe { mmap(data, PAGE, READ | WRITE, PRIVATE | FIXED | ANONYMOUS, -1, 0) };
            if data.addr() != FAILED {
                return Some(Pages(at.cast()));
            }
            // The second page is left alone: the kernel may have unmapped it, and another thread may have mapped
            // something in its place.
            // SAFETY: the first page was mapped above and is not in use.
            let _ = unsafe { munmap(at, PAGE) };
            None
        }
    }

    /// A page of code, and behind it a page of data that is zero. Dropping this unmaps them.
    struct Pages(*mut u8);

    impl Pages {
        /// Whether the first page is equal to the template.
        fn is_template(&self) -> bool {
            // SAFETY: the template is a page of this object's code, which is readable, and which nothing writes to.
            let template = unsafe { &*template::address().cast::<[u8; PAGE]>() };
            // SAFETY: the page is mapped and readable, nothing can write to it, and `find` has found the file long
            // enough. It is the file of this object's code: if it became shorter, other code would fail as well.
            let mapped = unsafe { &*self.0.cast::<[u8; PAGE]>() };
            template == mapped
        }

        /// Keeps the pages for ever. Returns the addresses on them.
        fn keep(self, answer: *const (), integers: usize) -> &'static [Data] {
            let code = ManuallyDrop::new(self).0;
            let header = code.wrapping_add(PAGE).cast::<Header>();
            let words = Header { entry: template::entry(integers), answer, _rest: [0; 2] };
            // SAFETY: the second page is mapped, writable, aligned and larger than a `Header`. No other thread knows
            // it.
            unsafe { header.write(words) };
            let first = header.wrapping_add(1).cast::<Data>();
            // SAFETY: behind the header the second page has room for SLOTS - 1 of them, its zero bytes are valid ones,
            // and it is never unmapped. From here on it is accessed through these shared references, and by the code of
            // the first page, which loads handles as `user_data` does.
            let data: &'static [Data] = unsafe { std::slice::from_raw_parts(first, SLOTS - 1) };
            for (index, data) in data.iter().enumerate() {
                data.set_code(code.wrapping_add((index + 1) * PIECE).cast());
            }
            data
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: the two pages belong to this value, and no reference to them is left.
            let _ = unsafe { munmap(self.0.cast(), 2 * PAGE) };
        }
    }

    /// Where the contents of an address come from.
    #[derive(Debug, PartialEq)]
    struct Place<'m> {
        /// Device and inode.
        file: [&'m [u8]; 2],
        path: &'m [u8],
        offset: u64,
    }

    /// The place of the page at `wanted`, in the text of `/proc/self/maps`.
    fn place_in_file(maps: &[u8], wanted: usize) -> Option<Place<'_>> {
        maps.split(|&byte| byte == b'\n').find_map(|line| place_in_line(line, wanted))
    }

    /// The same, if it is in this line: `start-end access offset device inode path`.
    fn place_in_line(line: &[u8], wanted: usize) -> Option<Place<'_>> {
        let mut rest = line;
        let mut word = || {
            let word = rest.split(|&byte| byte == b' ').next().unwrap_or_default();
            rest = rest[word.len()..].strip_prefix(b" ").unwrap_or_default();
            word
        };
        let hex = |digits: &[u8]| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let range = word();
        let dash = range.iter().position(|&byte| byte == b'-')?;
        let (start, end) = (hex(&range[..dash])?, hex(&range[dash + 1..])?);
        let (wanted, page) = (wanted as u64, PAGE as u64);
        if wanted < start || end < wanted + page {
            return None;
        }
        let (_access, offset, device, inode) = (word(), hex(word())?, word(), word());
        let path = rest.trim_ascii_start();
        path.starts_with(b"/").then_some(Place { file: [device, inode], path, offset: offset + (wanted - start) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const MAPS: &[u8] = b"55a0b000-55a0f000 r-xp 00087000 fe:00 1386853                    /tmp/a b (deleted)\n\
            7f00000000-7f00002000 rw-p 00000000 00:00 0 \n\
            7f00002000-7f00004000 r-xp 00000000 00:00 0                          [vdso]\n";

        #[test]
        fn the_place_of_an_address_is_found() {
            let place = place_in_file(MAPS, 0x55a0_c000);
            let path = b"/tmp/a b (deleted)".as_slice();
            assert_eq!(place, Some(Place { file: [b"fe:00", b"1386853"], path, offset: 0x88000 }));
            assert_eq!(place_in_file(MAPS, 0x55a0_e000).unwrap().offset, 0x8a000, "the last page");
            assert_eq!(place_in_file(MAPS, 0x55a0_e800), None, "a page that is partly outside");
            assert_eq!(place_in_file(MAPS, 0x7f_0000_0000), None, "of no file");
            assert_eq!(place_in_file(MAPS, 0x7f_0000_2000), None, "of no file, with a name");
            assert_eq!(place_in_file(MAPS, 0x1000), None, "not mapped");
            assert_eq!(place_in_file(b"what is this\n\n-\n1-", 0x1000), None);
        }
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

    pub(super) fn make(_: *const (), _: usize, _: usize, _: impl FnMut(&'static [Data])) -> Option<()> {
        None
    }
}
