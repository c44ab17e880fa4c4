//! The emitter with one rule broken each: what the model must convict. A mutant's symbols are the library's, after its name
//! and an underscore.

use std::path::{Path, PathBuf};

/// The library with one text replaced by another.
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

impl Mutant {
    /// The C files of the library, this mutation made, in a folder of `out`.
    pub(crate) fn sources(&self, out: &Path) -> Vec<PathBuf> {
        let folder = out.join(self.name);
        std::fs::create_dir_all(&folder).expect("OUT_DIR can be written");
        let mut patched = false;
        let mut sources = Vec::new();
        for source in super::files("../../src", &["c", "h"]) {
            let mut text = std::fs::read_to_string(&source).expect("native/src can be read");
            let name = source.file_name().expect("a file");
            if name == self.file {
                let matches = text.matches(self.from).count();
                assert_eq!(matches, 1, "{}: {matches} places in {} look like {:?}", self.name, self.file, self.from);
                text = text.replace(self.from, self.to);
                patched = true;
            }
            let copy = folder.join(name);
            // Cargo builds everything again that depends on a file which is newer than the last build.
            if std::fs::read_to_string(&copy).ok().as_deref() != Some(text.as_str()) {
                std::fs::write(&copy, text).expect("OUT_DIR can be written");
            }
            if copy.extension().is_some_and(|extension| extension == "c") {
                sources.push(copy);
            }
        }
        assert!(patched, "{}: there is no {}", self.name, self.file);
        sources
    }
}

pub(crate) const MUTANTS: &[Mutant] = &[
    // Unsubscribing returns while calls are in flight, in every mode.
    Mutant {
        name: "mutant_forgets_to_wait",
        file: "subscribe.c",
        from: "  if (waits) emi_wait_quiet(&here, id);\n  emitter_status status",
        to: "  emitter_status status",
    },
    // The frame says that it is over before the callback is called.
    Mutant {
        name: "mutant_counts_out_early",
        file: "fire.c",
        from: "    UNLOCKED(here->emitter);\n    result = callback(user_data, event);",
        to: "    here->state = FRAME_VISITS;\n    emi_wake(here->emitter);\n    UNLOCKED(here->emitter);\n    \
             result = callback(user_data, event);",
    },
    // A worker is told to stop before it can see that it is to.
    Mutant {
        name: "mutant_signals_first",
        file: "queue.c",
        from: "  pthread_mutex_lock(&e->lock);\n  e->stopping = true;\n  pthread_cond_broadcast(&e->work);\n  \
               pthread_mutex_unlock(&e->lock);",
        to: "  pthread_cond_broadcast(&e->work);\n  pthread_mutex_lock(&e->lock);\n  e->stopping = true;\n  \
             pthread_mutex_unlock(&e->lock);",
    },
    // Between finding that it has to wait and waiting, the lock is given up: what wakes it may come in between, to nobody.
    Mutant {
        name: "mutant_waits_too_late",
        file: "frame.c",
        from: "  e->waiting++;\n  pthread_cond_wait(&e->settled, &e->lock);",
        to: "  pthread_mutex_unlock(&e->lock);\n  pthread_mutex_lock(&e->lock);\n  e->waiting++;\n  \
             pthread_cond_wait(&e->settled, &e->lock);",
    },
    // Whoever unsubscribes runs the destroy notify at once, while calls may still be in flight.
    Mutant {
        name: "mutant_notifies_early",
        file: "subscribe.c",
        from: "  if (waits) emi_excuse(&here, id);\n  emi_stall(&here, EMITTER_STALL_UNSUBSCRIBED, id);",
        to: "  struct parting now = emi_take_notify(here.pair);\n  emi_part(&here, &now);\n  \
             if (waits) emi_excuse(&here, id);\n  emi_stall(&here, EMITTER_STALL_UNSUBSCRIBED, id);",
    },
    // The frame that runs a destroy notify says that it uses nothing: whoever waits for the subscription does not wait for
    // its notify.
    Mutant {
        name: "mutant_notifies_outside",
        file: "frame.c",
        from: "  here->state = own.destroy != NULL || lent.destroy != NULL ? FRAME_HOLDS : FRAME_VISITS;",
        to: "  here->state = FRAME_VISITS;\n  emi_wake(e);",
    },
];
