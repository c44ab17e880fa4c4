//! The report of a late call: which library kept the pointer, and which code revoked the callback too early.

use super::Core;
use super::bookkeeping::History;
use super::clock::Timestamp;
use super::error::{Reason, Refused};
use super::handle::Handle;
use super::site::{Site, Trace};
use super::sync::lock;
use super::thread::ThreadTag;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// Something done to a registration before the late call.
#[derive(Clone, Copy, Debug)]
pub struct Provenance {
    at: Option<Site>,
    thread: ThreadTag,
    ago: Duration,
}

impl PartialEq for Provenance {
    fn eq(&self, other: &Self) -> bool {
        let place = |one: &Self| match one.at {
            Some(Site::Rust(location)) => (Some(location), None),
            Some(Site::C(site)) => (None, Some(site)),
            None => (None, None),
        };
        (place(self), self.thread, self.ago) == (place(other), other.thread, other.ago)
    }
}

impl Eq for Provenance {}

impl Provenance {
    /// Where in Rust's source. `None` when a [`Registration`](super::Registration) was dropped, because a destructor
    /// does not know its caller; and for a place in C code, which [`Display`](fmt::Display) names.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        match self.at {
            Some(Site::Rust(location)) => Some(location),
            Some(Site::C(_)) | None => None,
        }
    }

    /// Which thread did it.
    #[must_use]
    pub fn thread(&self) -> ThreadTag {
        self.thread
    }

    /// How long before the report. Precise to a few milliseconds, because the noted time is that of the kernel's last
    /// tick.
    #[must_use]
    pub fn ago(&self) -> Duration {
        self.ago
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{at}")?,
            None => f.write_str("by dropping the Registration")?,
        }
        write!(f, ", {}, {:.1?} ago", self.thread, self.ago)
    }
}

/// Everything known about a late call. Owned, `Send`, and an [`Error`](std::error::Error), as is the
/// [`LateCall`](super::LateCall) that it describes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LateReport {
    reason: Reason,
    handle: Handle,
    registry: Option<&'static str>,
    callback_type: &'static str,
    label: Option<String>,
    registered: Option<Provenance>,
    revoked: Option<Provenance>,
    current_generation: Option<u32>,
    caller: ThreadTag,
    flushed: bool,
}

impl LateReport {
    /// Why the call was refused.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The handle that was called. Its generation is the stale one.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The registry's name, if it was given one.
    #[must_use]
    pub fn registry(&self) -> Option<&'static str> {
        self.registry
    }

    /// The type of the registry's callbacks.
    #[must_use]
    pub fn callback_type(&self) -> &'static str {
        self.callback_type
    }

    /// The registration's label, if it had one and its tombstone is still kept.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Where, by which thread and how long ago the callback was registered. `None`: the handle was never issued, or the
    /// tombstone has been flushed.
    #[must_use]
    pub fn registered(&self) -> Option<Provenance> {
        self.registered
    }

    /// Where, by which thread and how long ago the callback was revoked. `None`: it was not revoked, the handle was
    /// never issued, or the tombstone has been flushed.
    #[must_use]
    pub fn revoked(&self) -> Option<Provenance> {
        self.revoked
    }

    /// The slot's generation at the time of the call. `None`: the handle names no slot of this registry.
    #[must_use]
    pub fn current_generation(&self) -> Option<u32> {
        self.current_generation
    }

    /// The thread that called.
    #[must_use]
    pub fn caller(&self) -> ThreadTag {
        self.caller
    }

    /// Whether the tombstone has been flushed, so that label, places and threads are no longer known. A stale handle is
    /// detected by its generation, not by the tombstone, so detection stays exact.
    #[must_use]
    pub fn tombstone_flushed(&self) -> bool {
        self.flushed
    }
}

/// The public form of a note, with its age at this moment.
pub(super) fn provenance(trace: &Trace) -> Provenance {
    Provenance { at: trace.at, thread: trace.thread, ago: trace.when.before(Timestamp::now()) }
}

/// Makes the report. Holds the registry's lock while it copies one entry.
pub(super) fn make(core: &Core, handle: Handle, refused: Refused) -> LateReport {
    let past = refused.reason.of_a_registration();
    let history: Option<History> = match past {
        true => lock(&core.bookkeeping).find(handle, refused.current_generation == handle.generation()),
        false => None,
    };
    LateReport {
        reason: refused.reason,
        handle,
        registry: core.settings.name,
        callback_type: (core.callback_type)(),
        flushed: past && history.is_none(),
        registered: history.as_ref().map(|history| provenance(&history.registered)),
        revoked: history.as_ref().and_then(|history| history.revoked.as_ref()).map(provenance),
        label: history.and_then(|history| history.label).map(String::from),
        current_generation: refused.current(),
        caller: ThreadTag::current(),
    }
}

/// A registration in one line: its label, its handle, its registry's name, where it was registered. `history` is what
/// the registry has noted about it.
pub(super) fn describe(core: &Core, handle: Handle, history: Option<&History>) -> String {
    let mut text = String::from("  callback    ");
    if let Some(label) = history.and_then(|history| history.label.as_ref()) {
        text += &format!("`{label}`, ");
    }
    text += &format!("{handle:?}");
    if let Some(registry) = core.settings.name {
        text += &format!(" `{registry}`");
    }
    if let Some(at) = history.and_then(|history| history.registered.at) {
        text += &format!(", registered {at}");
    }
    text
}

impl fmt::Display for LateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("late call")?;
        if let Some(label) = &self.label {
            write!(f, " of `{label}`")?;
        }
        writeln!(f, ": {}", self.reason)?;
        write!(f, "  callback    {}", self.callback_type)?;
        if let Some(registry) = self.registry {
            write!(f, ", in registry `{registry}`")?;
        }
        writeln!(f)?;
        if self.handle.is_null() {
            writeln!(f, "  handle      NULL")?;
        } else {
            let (index, generation, id) = (self.handle.index(), self.handle.generation(), self.handle.registry_id());
            write!(f, "  handle      slot {index}, generation {generation}, registry {id}")?;
            match self.current_generation {
                Some(current) if current != generation => writeln!(f, "; the slot is at generation {current}")?,
                Some(_) => writeln!(f, "; the slot is still at this generation")?,
                None => writeln!(f)?,
            }
        }
        if let Some(registered) = &self.registered {
            writeln!(f, "  registered  {registered}")?;
        }
        if let Some(revoked) = &self.revoked {
            writeln!(f, "  revoked     {revoked}")?;
        }
        if self.flushed {
            writeln!(f, "  history     the tombstone has been flushed; `with_tombstones` keeps more of them")?;
        }
        writeln!(f, "  called by   {}", self.caller)?;
        write!(f, "  what to do  {}", self.reason.advice())
    }
}

impl std::error::Error for LateReport {}
