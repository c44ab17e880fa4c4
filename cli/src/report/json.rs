//! What the gate found, for machines: one document. `docs/json.md` is its page; [`FORMAT`] changes when a field changes
//! its meaning or goes, not when one is added.

use latecall::engine::report::Report;
use latecall::gate::{CheckResult, Summary};
use serde::Serialize;

/// The version of every document that this crate writes.
pub const FORMAT: u32 = 1;

/// What every document begins with.
#[derive(Debug, Serialize)]
struct Document<T> {
    format: u32,
    latecall: &'static str,
    #[serde(flatten)]
    content: T,
}

/// The text of a document.
///
/// # Panics
///
/// Never for the types of this crate: all their keys are strings.
pub fn document<T: Serialize>(content: &T) -> String {
    let document = Document { format: FORMAT, latecall: env!("CARGO_PKG_VERSION"), content };
    let mut text = serde_json::to_string_pretty(&document).expect("what has strings for keys can be written as JSON");
    text.push('\n');
    text
}

/// The gate's document.
pub fn gate(results: &[CheckResult], summary: &Summary) -> String {
    #[derive(Serialize)]
    struct Gate<'a> {
        summary: &'a Summary,
        checks: &'a [CheckResult],
    }
    document(&Gate { summary, checks: results })
}

/// The entry of one replayed file in the JSON output of `latecall replay`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The file.
    pub file: String,
    /// What was found.
    pub report: Report,
    /// What happened in a clean run, when that was asked for.
    pub timeline: Option<Vec<String>>,
}
