//! One execution as text: a column for each thread, time downwards.

use super::graph::{Action, Event, Kind};
use super::runner::{Executed, Runner};
use crate::finding;

/// What the last run of `runner` executed, in that order.
pub(crate) fn of(runner: &mut Runner) -> String {
    let steps: Vec<Executed> = runner.steps().to_vec();
    let column = |step: &Executed| step.event.thread as usize;
    let cells: Vec<(usize, String)> =
        steps.iter().filter_map(|step| Some((column(step), cell(runner, step)?))).collect();
    let threads = 1 + cells.iter().map(|(thread, _)| *thread).max().unwrap_or(0);
    let name = |thread| if thread == 0 { "main".to_owned() } else { format!("thread {thread}") };
    finding::columns(&(0..threads).map(name).collect::<Vec<_>>(), &cells)
}

/// What one step did; none for the ones that a reader knows from others.
fn cell(runner: &mut Runner, step: &Executed) -> Option<String> {
    let graph = runner.graph();
    let event = *graph.event(step.event);
    let name = |location: u32| format!("#{location}");
    let text = match (step.verb, event.kind) {
        ("begins" | "ends", _) => return None,
        ("queues for", _) if event.from.is_initial() => format!("locks {}", name(event.location)),
        (verb @ "queues for", _) => format!("{verb} {}", name(event.location)),
        ("unlocks", _) => format!("unlocks {}", name(event.value as u32 - 1)),
        (_, Kind::Read) => read(&event, graph.thread(event.id.thread).get(event.id.index as usize + 1)),
        (_, Kind::Write) => format!("writes {} to {}", event.value, name(event.location)),
        ("decides", _) => format!("decides {}", event.value),
        (verb, _) => verb.to_owned(),
    };
    let place = step.place.map_or_else(String::new, |place| format!(" ({})", finding::at(place)));
    Some(text + &place)
}

fn read(event: &Event, next: Option<&Event>) -> String {
    let location = format!("#{}", event.location);
    let written = next.filter(|it| it.exclusive);
    let from = match event.from {
        from if from.is_initial() => "at first".to_owned(),
        from if from.thread == 0 => "from main".to_owned(),
        from => format!("from thread {}", from.thread),
    };
    match (written, event.action) {
        _ if event.blocked => format!("waits at {location}, which is {}", event.value),
        (Some(write), _) => format!("reads {} {from} and writes {} at {location}", event.value, write.value),
        (None, Action::Compare { expected, .. }) => {
            format!("reads {} {from} at {location}, expected {expected}", event.value)
        }
        (None, _) => format!("reads {} {from} at {location}", event.value),
    }
}
