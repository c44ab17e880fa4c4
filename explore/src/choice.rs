//! A choice that the search takes both ways.
//!
//! Loom offers threads and stores to choose between, and one thing more: a `Notify` may wake for no reason, once. Waiting
//! on one that has already been notified returns either way; which way it was, loom says only in its log, which is read
//! here while it waits.

use super::world::Me;
use crate::loom_types::Notify;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    /// Whose choice the next line of the log is about.
    static CHOOSING: Cell<Option<Me>> = const { Cell::new(None) };
    /// By thread: between the log and the return of a wait others may run, and choose.
    static CHOSEN: RefCell<BTreeMap<Me, bool>> = const { RefCell::new(BTreeMap::new()) };
}

/// Reads one line of loom's log, and ignores all others.
pub(crate) struct Listener;

fn concerns(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target() == "loom::rt::notify" && metadata.fields().field("spurious").is_some()
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if concerns(metadata) { Interest::sometimes() } else { Interest::never() }
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        concerns(metadata)
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut Reader);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Reader;

impl Visit for Reader {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "spurious"
            && let Some(me) = CHOOSING.take()
        {
            let way = format!("{value:?}") == "true";
            CHOSEN.with_borrow_mut(|chosen| chosen.insert(me, way));
            super::trace::chose(me, way);
        }
    }
}

/// Whether; the search takes both.
pub(crate) fn choose(me: Me) -> bool {
    let coin = Notify::new();
    coin.notify();
    CHOOSING.set(Some(me));
    coin.wait();
    CHOSEN.with_borrow_mut(|chosen| chosen.remove(&me)).expect("loom logs how a wait ended: loom 0.7 does")
}
