//! Locks that rest on memory orders, each beside a form with one mistake: see [`algorithms`](super::algorithms).

use super::algorithms::{Data, atomics, number, run};
use super::convicted;
use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use latecall_explore::FindingKind;
use latecall_explore::executions::Explored;
use latecall_explore::sync::atomic::{AtomicU64, Ordering, fence};

fn ticket_lock(threads: usize, release: Ordering) -> Explored {
    let part = move |_, (tickets, serving, data): &(AtomicU64, AtomicU64, Data)| {
        let mine = tickets.fetch_add(1, Relaxed);
        while serving.load(Acquire) != mine {}
        data.set(data.get() + 1);
        serving.store(mine + 1, release);
    };
    let shared = || (AtomicU64::new(0), AtomicU64::new(0), Data::new());
    run(threads, shared, part, move |it| assert_eq!(it.2.get(), threads as u64))
}

#[test]
fn a_ticket_lock_has_the_orders_of_its_tickets() {
    assert_eq!([2, 3, 4].map(|threads| number(&ticket_lock(threads, Release))), [2, 6, 24]);
    convicted(&ticket_lock(2, Relaxed), FindingKind::DataRace, "nothing orders the two");
}

/// Mellor-Crummey's and Scott's. Nodes are numbered from 1, one for each thread.
struct Mcs {
    tail: AtomicU64,
    next: [AtomicU64; 4],
    waits: [AtomicU64; 4],
    data: Data,
}

fn mcs_lock(threads: usize, handover: Ordering) -> Explored {
    let part = move |me: usize, it: &Mcs| {
        let me = me + 1;
        it.waits[me].store(1, Relaxed);
        let before = it.tail.swap(me as u64, AcqRel);
        if before != 0 {
            it.next[before as usize].store(me as u64, Release);
            while it.waits[me].load(Acquire) != 0 {}
        }
        it.data.set(it.data.get() + 1);
        if it.next[me].load(Acquire) == 0 && it.tail.compare_exchange(me as u64, 0, AcqRel, Relaxed).is_ok() {
            return;
        }
        let mut after = it.next[me].load(Acquire);
        while after == 0 {
            after = it.next[me].load(Acquire);
        }
        it.waits[after as usize].store(0, handover);
    };
    let shared = || Mcs { tail: AtomicU64::new(0), next: atomics(), waits: atomics(), data: Data::new() };
    run(threads, shared, part, move |it| assert_eq!(it.data.get(), threads as u64))
}

#[test]
fn an_mcs_lock() {
    assert_eq!([2, 3].map(|threads| number(&mcs_lock(threads, Release))), [8, 132]);
    convicted(&mcs_lock(2, Relaxed), FindingKind::DataRace, "nothing orders the two");
}

fn peterson(store: Ordering, load: Ordering) -> Explored {
    let part = move |me: usize, (flag, turn, data): &([AtomicU64; 2], AtomicU64, Data)| {
        flag[me].store(1, store);
        turn.store(1 - me as u64, store);
        while flag[1 - me].load(load) == 1 && turn.load(load) == 1 - me as u64 {}
        data.set(data.get() + 1);
        flag[me].store(0, Release);
    };
    run(2, || (atomics(), AtomicU64::new(0), Data::new()), part, |it| assert_eq!(it.2.get(), 2))
}

#[test]
fn petersons_lock_needs_sequential_consistency() {
    assert_eq!(number(&peterson(SeqCst, SeqCst)), 4);
    convicted(&peterson(Release, Acquire), FindingKind::DataRace, "nothing orders the two");
}

/// Dekker's, with a turn that says which thread gives way.
fn dekker(fenced: bool) -> Explored {
    let part = move |me: usize, (flag, turn, data): &([AtomicU64; 2], AtomicU64, Data)| {
        let full = || {
            if fenced {
                fence(SeqCst)
            }
        };
        flag[me].store(1, Relaxed);
        full();
        while flag[1 - me].load(Acquire) == 1 {
            if turn.load(Relaxed) != me as u64 {
                flag[me].store(0, Relaxed);
                while turn.load(Relaxed) != me as u64 {}
                flag[me].store(1, Relaxed);
                full();
            }
        }
        data.set(data.get() + 1);
        turn.store(1 - me as u64, Release);
        flag[me].store(0, Release);
    };
    run(2, || (atomics(), AtomicU64::new(0), Data::new()), part, |it| assert_eq!(it.2.get(), 2))
}

#[test]
fn dekkers_lock_needs_its_fences() {
    convicted(&dekker(false), FindingKind::DataRace, "nothing orders the two");
    assert_eq!(number(&dekker(true)), 4);
}

/// Szymanski's lock for two threads.
fn szymanski(fenced: bool) -> Explored {
    let part = move |me: usize, (flag, data): &([AtomicU64; 2], Data)| {
        let set = |value: u64| {
            flag[me].store(value, Release);
            if fenced {
                fence(SeqCst);
            }
        };
        let other = || flag[1 - me].load(Acquire);
        set(1);
        while other() >= 3 {}
        set(3);
        if other() == 1 {
            set(2);
            while other() != 4 {}
        }
        set(4);
        if me == 1 {
            while other() >= 2 {}
        }
        data.set(data.get() + 1);
        if me == 0 {
            while matches!(other(), 2 | 3) {}
        }
        set(0);
    };
    run(2, || (atomics(), Data::new()), part, |it| assert_eq!(it.1.get(), 2))
}

#[test]
fn szymanskis_lock_needs_its_fences() {
    convicted(&szymanski(false), FindingKind::Deadlock, "waits for a value");
    assert_eq!(number(&szymanski(true)), 29);
}
