//! `latecall list`: what there is, by the names that everything else uses.

use super::{Failure, out, style};
use crate::report::{Style, json, wrap};
use latecall::engine::ENGINES;
use latecall::gate::SelectError;
use latecall::program::{Hostile, Site, Verb};
use latecall::subject::{Catalogue, Entry, Library};
use latecall_bundled::BUNDLED;
use serde::Serialize;
use std::fmt::Write;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Write one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listed {
    subjects: Vec<ListedSubject>,
    engines: &'static [&'static str],
    verbs: Vec<&'static str>,
    hostile: Vec<&'static str>,
    sites: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct ListedSubject {
    name: String,
    mode: &'static str,
    /// `null`: taken for sound.
    defect: Option<&'static str>,
    seen_in: Option<&'static str>,
    convicted_of: Vec<String>,
    /// The engines that have to convict it; for a sound one those that run on it.
    engines: Vec<&'static str>,
    verbs: Vec<&'static str>,
    hostile: Vec<&'static str>,
    sites: Vec<&'static str>,
}

pub(super) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let listed = listed()?;
    out::print(&if arguments.json { json::document(&listed) } else { text(&listed, style()) })?;
    Ok(latecall::gate::exit_code::SOUND)
}

fn listed() -> Result<Listed, Failure> {
    let subject = |it: &Entry| {
        let offer = it.subject.offer();
        ListedSubject {
            name: it.subject.name().to_owned(),
            mode: it.variant,
            defect: it.flaw.map(|flaw| flaw.defect),
            seen_in: it.flaw.map(|flaw| flaw.seen_in),
            convicted_of: it.flaw.iter().flat_map(|flaw| flaw.convicted_of).map(|kind| kind.name()).collect(),
            engines: it.flaw.map_or(ENGINES.to_vec(), |flaw| flaw.convicted_by.to_vec()),
            verbs: offer.verbs.iter().map(Verb::name).collect(),
            hostile: offer.hostile.iter().map(|it| it.name()).collect(),
            sites: offer.sites.iter().map(|it| it.name()).collect(),
        }
    };
    Ok(Listed {
        subjects: BUNDLED.list(&Library::Linked).map_err(SelectError::Load)?.iter().map(subject).collect(),
        engines: &ENGINES,
        verbs: Verb::ALL.iter().map(|it| it.name()).collect(),
        hostile: Hostile::ALL.iter().map(|it| it.name()).collect(),
        sites: Site::ALL.iter().map(|it| it.name()).collect(),
    })
}

fn text(listed: &Listed, style: Style) -> String {
    let mut out = String::from("Subjects that should be sound (name, mode of the C library)\n");
    let width = listed.subjects.iter().map(|it| it.name.len()).max().unwrap_or(0);
    for it in listed.subjects.iter().filter(|it| it.defect.is_none()) {
        let _ = writeln!(out, "  {:<width$}  {}", it.name, it.mode);
    }
    out += "\nSubjects with a defect (name, mode, what must be found, by which engines)\n";
    for it in &listed.subjects {
        let Some(defect) = it.defect else { continue };
        let (of, by) = (it.convicted_of.join(" or "), it.engines.join(", "));
        let _ = writeln!(out, "  {:<width$}  {}", it.name, it.mode);
        let _ = writeln!(out, "{}", wrap(&format!("      {of} by {by}"), style.width, "        "));
        let _ = writeln!(out, "{}", wrap(&format!("      {defect}"), style.width, "        "));
    }
    let words = [
        ("Engines", listed.engines.to_vec()),
        ("Verbs of programs", listed.verbs.clone()),
        ("Hostile switches (`hostile NAME`)", listed.hostile.clone()),
        ("Stall sites (`stall SITE GATE`)", listed.sites.clone()),
    ];
    for (title, words) in words {
        let _ = writeln!(out, "\n{title}\n{}", wrap(&format!("  {}", words.join(" ")), style.width, "  "));
    }
    out
}
