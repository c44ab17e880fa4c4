//! Decides for each symbol which name it gets, and refuses code with symbols that the explorer could not follow.

use crate::error::is_known;
use crate::objects::{Symbol, c_library};
use crate::symbols::is_of_c_library;
use crate::{ENTRY_PREFIX, Error, Instrument, MODELLED, Uses, instrumentation};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

/// Part of the name of each stub for a function that is refused when it is called (`src/instrument.rs`). No C name has
/// a dot.
const REFUSED: &str = ".refused.";

/// Variables of the C library. They cannot be refused when they are called.
const VARIABLES: &[&str] = &["optarg", "optind", "opterr", "timezone", "daylight", "tzname"];

impl Instrument {
    /// What the name of each stub begins with.
    pub(crate) fn stub_prefix(&self) -> String {
        format!("{}{REFUSED}", self.name)
    }

    /// The symbols to rename, each with its new name.
    pub(crate) fn renames(&self, symbols: &[Symbol]) -> Result<BTreeMap<String, String>, Error> {
        let defined: BTreeSet<&str> = symbols
            .iter()
            .filter(|symbol| symbol.defined && symbol.global)
            .map(|symbol| symbol.name.as_str())
            .collect();
        let required: BTreeSet<&str> =
            symbols.iter().filter(|symbol| !symbol.weak).map(|symbol| symbol.name.as_str()).collect();
        let c_library = LazyCell::new(|| c_library(&self.compiler));
        let of_c_library = |name: &str| is_of_c_library(name, &c_library);
        let provided: BTreeSet<String> =
            MODELLED.iter().map(|&name| name.to_owned()).chain(instrumentation()).collect();
        let mut renames = BTreeMap::new();
        let mut unmodelled = Uses::new();
        let mut thread_locals = Uses::new();
        let mut with_code = BTreeSet::new();
        let mut instrumented = BTreeSet::new();
        for symbol in symbols {
            let name = symbol.name.as_str();
            if symbol.thread_local {
                thread_locals.entry(symbol.name.clone()).or_default().insert(symbol.object.clone());
            }
            if symbol.defined && symbol.function {
                with_code.insert(symbol.object.clone());
            }
            if name.starts_with("__tsan_") {
                instrumented.insert(symbol.object.clone());
            }
            if defined.contains(name) {
                if symbol.global && !name.starts_with("DW.ref.") {
                    renames.insert(symbol.name.clone(), format!("{}_{name}", self.name));
                }
            } else if !symbol.global || symbol.defined {
                // Other objects cannot refer to it, so its name can stay.
            } else if provided.contains(name) {
                renames.insert(symbol.name.clone(), format!("{ENTRY_PREFIX}{name}"));
            } else if self.allowed.contains(name) {
                // The code calls the real function.
            } else if !self.deferred.contains(name)
                && !required.contains(name)
                && !is_known(name)
                && !of_c_library(name)
            {
                // An optional hook: a weak symbol that none of the objects defines. The new name is not defined either,
                // so the hook's address is null.
                renames.insert(symbol.name.clone(), format!("{}_{name}", self.name));
            } else if self.deferred.contains(name) || (self.defers_all && !VARIABLES.contains(&name)) {
                renames.insert(symbol.name.clone(), format!("{}{name}", self.stub_prefix()));
            } else {
                unmodelled.entry(symbol.name.clone()).or_default().insert(symbol.object.clone());
            }
        }
        let uninstrumented: BTreeSet<String> = with_code.difference(&instrumented).cloned().collect();
        if !uninstrumented.is_empty() {
            return Err(Error::NotInstrumented(uninstrumented));
        }
        if !thread_locals.is_empty() {
            return Err(Error::ThreadLocal(thread_locals));
        }
        if !unmodelled.is_empty() {
            let (unmodelled, undefined): (Uses, Uses) =
                unmodelled.into_iter().partition(|(name, _)| of_c_library(name) || is_known(name));
            if !undefined.is_empty() {
                return Err(Error::Undefined { undefined, unmodelled });
            }
            return Err(Error::Unmodelled(unmodelled));
        }
        Ok(renames)
    }
}
