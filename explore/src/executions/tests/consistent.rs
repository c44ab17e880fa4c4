//! The oracle's judgement: the definitions of the memory model, as relations between events.

use super::oracle::{Event, Orders, What};
use super::program::Mode;
use super::relation::Relation;

/// Whether the events of one location, whose writes have this order, are what each thread by itself allows, and nothing
/// comes between a read-modify-write's read and its write. [`consistent`] implies it; looked at alone it is cheap.
pub(super) fn location_is_coherent(events: &[Event], from: &[Option<usize>], order: &[usize]) -> bool {
    let place = |write: usize| order.iter().position(|it| *it == write);
    let seen = |at: usize| if events[at].what == What::Write { place(at) } else { from[at].and_then(place) };
    let here: Vec<usize> = (0..events.len()).filter(|at| seen(*at).is_some()).collect();
    here.iter().all(|b| {
        let follows = |a: &usize| *a < *b && events[*a].thread.is_some() && events[*a].thread == events[*b].thread;
        let b_writes = events[*b].what == What::Write;
        let ordered = |a: &usize| seen(*a) < seen(*b) || (!b_writes && seen(*a) == seen(*b));
        let atomic = events[*b].read.is_none_or(|read| seen(read).map(|it| it + 1) == seen(*b));
        atomic && here.iter().filter(|a| follows(a)).all(ordered)
    })
}

/// None: inconsistent. Otherwise whether plain accesses race.
pub(super) fn consistent(events: &[Event], from: &[Option<usize>], orders: &Orders) -> Option<bool> {
    let size = events.len();
    let is = |what: What| move |at: usize| events[at].what == what;
    let ordered = |lock: bool, a: usize, b: usize| {
        let place = |at: usize| orders[&(lock, events[at].place)].iter().position(|it| *it == at);
        events[a].place == events[b].place && place(a) < place(b)
    };
    let po = Relation::new(size, |a, b| match (events[a].thread, events[b].thread) {
        (Some(a_thread), Some(b_thread)) => a_thread == b_thread && a < b,
        (None, Some(_)) => true,
        _ => false,
    });
    let rf = Relation::new(size, |a, b| from[b] == Some(a));
    let write = is(What::Write);
    let co = Relation::new(size, |a, b| a != b && write(a) && write(b) && ordered(false, a, b));
    // An unlock is followed by the next lock of the same lock.
    let lock = is(What::Lock);
    let unlock_of = |a: usize| unlock_of(events, a);
    let handed = Relation::new(size, |a, b| {
        (0..size)
            .any(|owner| lock(owner) && lock(b) && owner != b && ordered(true, owner, b) && unlock_of(owner) == Some(a))
    });
    // A lock that is never unlocked is followed by no other lock.
    let stuck = |a: usize, b: usize| a != b && lock(a) && lock(b) && ordered(true, a, b) && unlock_of(a).is_none();
    if (0..size).any(|a| (0..size).any(|b| stuck(a, b))) {
        return None;
    }
    if !po.or(&rf).or(&handed).closure().irreflexive() {
        return None;
    }
    let rmw = Relation::new(size, |a, b| events[b].read == Some(a));
    let fr = rf.inverse().then(&co);
    let eco = rf.or(&co).or(&fr).closure();
    // Atomicity.
    if !rmw.then(&fr.then(&co).inverse()).irreflexive() {
        return None;
    }
    // Synchronises-with and happens-before.
    let all = |holds: &dyn Fn(usize) -> bool| Relation::on(size, holds);
    let fences = all(&is(What::Fence));
    let sequence = all(&write).then(&rf.then(&rmw).closure().optional());
    let releases = all(&|at| events[at].mode.releases() && matches!(events[at].what, What::Write | What::Fence));
    let acquires = all(&|at| events[at].mode.acquires() && matches!(events[at].what, What::Read | What::Fence));
    let sw = releases
        .then(&fences.then(&po).optional())
        .then(&sequence)
        .then(&rf)
        .then(&po.then(&fences).optional())
        .then(&acquires);
    let hb = po.or(&sw).or(&handed).closure();
    // Coherence.
    if !hb.then(&eco.optional()).irreflexive() {
        return None;
    }
    // Sequential consistency.
    let same = |a: usize, b: usize| {
        let memory = |at: usize| matches!(events[at].what, What::Read | What::Write);
        memory(a) && memory(b) && events[a].place == events[b].place
    };
    let scb = po.or(&po.then(&hb).then(&po)).or(&hb.and(same)).or(&co).or(&fr);
    let sc = all(&|at| events[at].mode == Mode::SeqCst);
    let sc_fences = sc.then(&fences);
    let base = sc.or(&sc_fences.then(&hb.optional())).then(&scb).then(&sc.or(&hb.optional().then(&sc_fences)));
    let between = sc_fences.then(&hb.or(&hb.then(&eco).then(&hb))).then(&sc_fences);
    if !base.or(&between).closure().irreflexive() {
        return None;
    }
    let plain = |at: usize| matches!(events[at].what, What::PlainRead | What::PlainWrite);
    Some((0..size).any(|a| {
        (0..size).any(|b| {
            plain(a)
                && events[b].what == What::PlainWrite
                && a != b
                && events[a].place == events[b].place
                && !hb.has(a, b)
                && !hb.has(b, a)
        })
    }))
}

/// The unlock that ends the critical section which `lock` begins.
pub(super) fn unlock_of(events: &[Event], lock: usize) -> Option<usize> {
    let begin = &events[lock];
    (lock..events.len()).find(|at| {
        let it = &events[*at];
        it.what == What::Unlock && it.place == begin.place && it.thread == begin.thread
    })
}
