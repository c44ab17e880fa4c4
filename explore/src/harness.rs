//! For latecall's model engine, besides the public API: its own events in the timeline, and progress.
//!
//! Not public API: for `src/engine/model/` of the package `latecall`, of the same version.

use super::event::What;
use super::{Exploration, Finding, FindingKind, Me, Options, race, search, world};

pub use super::search::Listener;
pub use super::world::MOST_THREADS;

/// A point in the life of a thread of the search.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    of: Me,
    when: race::Epoch,
}

impl Point {
    /// Where the calling thread is now; `None` outside a search.
    pub fn here() -> Option<Self> {
        let me = world::enter()?;
        Some(Self { of: me, when: world::with(|world| world.moment(me)) })
    }

    /// Whether the point happens before what the calling thread does next: something orders the two.
    pub fn happens_before_now(self) -> bool {
        world::enter()
            .is_none_or(|me| me == self.of || world::with(|world| world.moments.in_the_past(me, self.of, self.when)))
    }
}

/// [`explore`](super::explore) with a listener.
pub fn explore_for(
    name: &str,
    options: &Options,
    listener: &mut Listener<'_>,
    f: impl Fn() + Send + Sync + 'static,
) -> Exploration {
    search::run(name, options, None, listener, f)
}

/// Removes what the timeline holds after an event of the harness; see [`record_event`].
pub fn end_with(index: usize) {
    if world::live() {
        world::with(|world| {
            let last = world.events.iter().rposition(|event| matches!(event.what, What::Told(at) if at == index));
            if let Some(last) = last {
                world.events.truncate(last + 1);
            }
        });
    }
}

/// Ends the interleaving with a finding, whose message is `text`.
pub fn convict(text: &str) -> ! {
    match world::enter() {
        Some(me) => world::with(|world| world.convict(me, 0, FindingKind::Failed, text.to_owned())),
        None => panic!("{text}"),
    }
}

/// The number of this interleaving in its search. A search that begins again, to get more atomics or to record a finding in
/// detail, uses the same numbers again.
pub fn number() -> u64 {
    world::with(|world| world.number)
}

/// Names this thread in reports.
pub fn name_thread(name: String) {
    if let Some(me) = world::enter() {
        world::with(|world| world.thread(me).name = name.into());
    }
}

/// Puts an event of the harness into the timeline, in the column of the calling thread. The search's [`Listener`] has words for it.
pub fn record_event(index: usize) {
    if let Some(me) = world::enter() {
        world::with(|world| world.log(me, 0, What::Told(index)));
    }
}

/// For each event of the harness in a finding's timeline: the event, as it was passed to [`record_event`], and the number of its
/// line.
pub fn event_lines(finding: &Finding) -> &[(usize, usize)] {
    &finding.event_lines
}
