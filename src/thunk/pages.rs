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
/// general registers before it: at most [`MOST_INTEGERS`].
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
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::fs::File;
    use std::io::{ErrorKind, Read};
    use std::mem::ManuallyDrop;
    use std::ops::Range;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::ptr;

    unsafe extern "C" {
        fn mmap(at: *mut c_void, length: usize, access: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
        fn munmap(at: *mut c_void, length: usize) -> c_int;
        fn open(path: *const c_char, flags: c_int, ...) -> c_int;
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
        if usize::try_from(getpagesize()) != Ok(PAGE) {
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
            let mut line = [0; LINE];
            let template = Place::of(template::address().addr(), &mut line)?;
            let file = File::from(template.open(&mut line)?);
            let is_there = file.metadata().ok()?.len() >= template.offset + PAGE as u64;
            let offset = is_there.then_some(i64::try_from(template.offset).ok()?)?;
            let source = Self { file, offset };
            let pages = source.map()?;
            // The path may lead to another file by now, with the same contents for the time being. The kernel says
            // which file each mapping is of.
            let mapped = Place::of(pages.0.addr(), &mut line)?;
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

    /// The longest line of `/proc/self/maps`: a path of 4096 bytes, and what precedes it.
    const LINE: usize = 4096 + 128;

    /// Where the contents of an address come from. Found without allocating, because std's functions that read a whole
    /// file end the process if there is no memory.
    #[derive(Debug, PartialEq)]
    struct Place {
        /// Device (two numbers) and inode.
        file: [u64; 3],
        offset: u64,
        /// The path, as a range of the buffer that the line is in.
        path: Range<usize>,
    }

    impl Place {
        /// The place of the page at `wanted`. Its line of `/proc/self/maps` is in `buffer` then, with one byte more.
        fn of(wanted: usize, buffer: &mut [u8; LINE]) -> Option<Self> {
            Self::read(File::open("/proc/self/maps").ok()?, wanted, buffer)
        }

        fn read(mut maps: impl Read, wanted: usize, buffer: &mut [u8; LINE]) -> Option<Self> {
            let mut filled = 0;
            loop {
                match maps.read(&mut buffer[filled..]) {
                    // The end; or a line that is longer than the buffer.
                    Ok(0) => return None,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => return None,
                }
                let mut start = 0;
                while let Some(length) = buffer[start..filled].iter().position(|&byte| byte == b'\n') {
                    if let Some(place) = Self::in_line(buffer, start..start + length, wanted) {
                        return Some(place);
                    }
                    start += length + 1;
                }
                buffer.copy_within(start..filled, 0);
                filled -= start;
            }
        }

        /// The place, if it is in this line: `start-end access offset device inode path`.
        fn in_line(buffer: &[u8], line: Range<usize>, wanted: usize) -> Option<Self> {
            let mut at = line.start;
            let mut field = |ends_with: u8| {
                let length = buffer[at..line.end].iter().position(|&byte| byte == ends_with)?;
                let digits = std::str::from_utf8(&buffer[at..at + length]).ok()?;
                at += length + 1;
                Some(digits)
            };
            let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
            let (start, end) = (hex(field(b'-')?)?, hex(field(b' ')?)?);
            let (wanted, page) = (wanted as u64, PAGE as u64);
            if wanted < start || end < wanted + page {
                return None;
            }
            let (_access, offset) = (field(b' ')?, hex(field(b' ')?)?);
            let file = [hex(field(b':')?)?, hex(field(b' ')?)?, field(b' ')?.parse().ok()?];
            let path = at + buffer[at..line.end].iter().take_while(|&&byte| byte == b' ').count();
            let place = Self { file, offset: offset + (wanted - start), path: path..line.end };
            buffer[path..line.end].starts_with(b"/").then_some(place)
        }

        /// Opens the file. `buffer`: as `of` has left it.
        fn open(&self, buffer: &mut [u8; LINE]) -> Option<OwnedFd> {
            const CLOSE_ON_EXECUTE: c_int = 0o2_000_000;
            buffer[self.path.end] = 0; // The end of the line.
            let path = CStr::from_bytes_with_nul(&buffer[self.path.start..=self.path.end]).ok()?;
            // SAFETY: `path` is a string that ends with a zero byte. Without a flag to create a file, `open` takes two
            // arguments.
            let file = unsafe { open(path.as_ptr(), CLOSE_ON_EXECUTE) };
            // SAFETY: the descriptor was opened just now, and nothing else owns it.
            (file >= 0).then(|| unsafe { OwnedFd::from_raw_fd(file) })
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const MAPS: &[u8] = b"55a0b000-55a0f000 r-xp 00087000 fe:00 1386853                    /tmp/a b (deleted)\n\
            7f00000000-7f00002000 rw-p 00000000 00:00 0 \n\
            7f00002000-7f00004000 r-xp 00000000 00:00 0                          [vdso]\n";

        /// Gives out a few bytes at a time, as a file may.
        struct Slowly<'m>(&'m [u8]);

        impl Read for Slowly<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let few = buffer.len().min(7);
                self.0.read(&mut buffer[..few])
            }
        }

        #[test]
        fn the_place_of_an_address_is_found() {
            let mut line = [0; LINE];
            let mut find = |wanted| {
                let place = Place::read(Slowly(MAPS), wanted, &mut line)?;
                Some((place.file, place.offset, String::from_utf8(line[place.path].to_vec()).unwrap()))
            };
            let path = "/tmp/a b (deleted)".to_owned();
            assert_eq!(find(0x55a0_c000), Some(([0xfe, 0, 1_386_853], 0x88000, path.clone())));
            assert_eq!(find(0x55a0_e000), Some(([0xfe, 0, 1_386_853], 0x8a000, path)), "the last page");
            assert_eq!(find(0x55a0_e800), None, "a page that is partly outside");
            assert_eq!(find(0x7f_0000_0000), None, "of no file");
            assert_eq!(find(0x7f_0000_2000), None, "of no file, with a name");
            assert_eq!(find(0x1000), None, "not mapped");
            for strange in
                [b"what is this\n\n-\n1-".as_slice(), &[b'x'; 2 * LINE], b"0-ff000\n", b"0-ff000 r 0 0:0 1\n"]
            {
                assert_eq!(Place::read(strange, 0x1000, &mut line), None);
            }
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
