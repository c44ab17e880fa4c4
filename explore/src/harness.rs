//! What latecall's model engine uses of a search besides the public API: its own events in the timeline, and progress.
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

/// Forgets what the timeline holds after the event that was [`tell`]-ed as this one.
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

/// Ends the interleaving with a finding whose text says everything.
pub fn convict(text: &str) -> ! {
    match world::enter() {
        Some(me) => world::with(|world| world.convict(me, 0, FindingKind::Failed, text.to_owned())),
        None => panic!("{text}"),
    }
}

/// Which interleaving of its search this is: a search that begins again, to have more atomics or to record what it found,
/// comes by the same numbers once more.
pub fn number() -> u64 {
    world::with(|world| world.number)
}

/// Names this thread in reports.
pub fn name_thread(name: String) {
    if let Some(me) = world::enter() {
        world::with(|world| world.thread(me).name = name.into());
    }
}

/// Puts an event into the timeline that the search's [`Listener`] has words for, in the column of this thread.
pub fn tell(index: usize) {
    if let Some(me) = world::enter() {
        world::with(|world| world.log(me, 0, What::Told(index)));
    }
}

/// For each of the harness's events in the timeline of a finding: the event, as it was [`tell`]-ed, and its line.
pub fn told(finding: &Finding) -> &[(usize, usize)] {
    &finding.told
}
