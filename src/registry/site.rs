//! Where in the source a verb was used, when, and by which thread. The place is one in Rust code, or one in C code that
//! its preprocessor has passed.

use super::clock::Timestamp;
use super::sync::{Outside, outside};
use super::thread::ThreadTag;
use std::fmt;
use std::panic::Location;
use std::ptr;

/// A place in the source. Two words, and valid for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Site {
    Rust(&'static Location<'static>),
    #[cfg_attr(not(feature = "capi"), allow(dead_code, reason = "made by `crate::capi`"))]
    C(&'static CSite),
}

/// A place in C or C++ code.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CSite {
    line: u32,
    file: Box<str>,
    function: Box<str>,
}

/// A registration or revocation: where in the source, on which thread, when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    /// `None`: a `Registration` was dropped, and Rust does not say where.
    pub(super) at: Option<Site>,
    pub(super) thread: ThreadTag,
    pub(super) when: Timestamp,
}

impl Trace {
    #[inline]
    pub(super) fn now(at: Option<Site>) -> Self {
        Self { at, thread: ThreadTag::current(), when: Timestamp::now() }
    }

    /// Whether both are of one place, thread and tick. Places are compared by address, so that two may differ that are
    /// equal; this costs a second note.
    pub(super) fn same(&self, other: &Self) -> bool {
        let place = |trace: &Self| trace.at.map_or(ptr::null(), Site::address);
        place(self) == place(other) && self.when == other.when && self.thread.number() == other.thread.number()
    }
}

/// The places that C code has passed so far, in order. Each is written once and leaked: a program has as many as it has
/// calls in its source. Lock order: no other lock is taken while this one is held.
pub(super) static SITES: Outside<Vec<&'static CSite>> = Outside::new(Vec::new());

impl Site {
    #[track_caller]
    #[inline]
    pub(super) fn caller() -> Self {
        Self::Rust(Location::caller())
    }

    /// The place in C code with these names. `None`: there is no memory for it.
    #[cfg_attr(not(feature = "capi"), allow(dead_code, reason = "called by `crate::capi`"))]
    pub(crate) fn in_c(file: &str, line: u32, function: &str) -> Option<Self> {
        let mut sites = outside(&SITES);
        let found =
            sites.binary_search_by(|site| (site.line, &*site.file, &*site.function).cmp(&(line, file, function)));
        let place = match found {
            Ok(place) => return Some(Self::C(sites[place])),
            Err(place) => place,
        };
        sites.try_reserve(1).ok()?;
        let site = CSite { line, file: copy(file)?, function: copy(function)? };
        let site: &'static CSite = Box::leak(super::completions::try_box(site)?);
        sites.insert(place, site);
        Some(Self::C(site))
    }

    /// Equal addresses are equal places. Equal places in Rust may have different addresses.
    #[inline]
    pub(super) fn address(self) -> *const () {
        match self {
            Self::Rust(location) => ptr::from_ref(location).cast(),
            Self::C(site) => ptr::from_ref(site).cast(),
        }
    }
}

/// A copy; `None` if there is no memory.
fn copy(text: &str) -> Option<Box<str>> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).ok()?;
    copy.push_str(text);
    // The length is the capacity, so that this allocates nothing.
    Some(copy.into_boxed_str())
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rust(location) => write!(f, "{location}"),
            Self::C(site) if site.line == 0 => f.write_str(&site.file),
            Self::C(site) if site.function.is_empty() => write!(f, "{}:{}", site.file, site.line),
            Self::C(site) => write!(f, "{}:{} ({})", site.file, site.line, site.function),
        }
    }
}
