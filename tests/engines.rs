//! Every engine on every bundled subject: sound ones come out clean, flawed ones are convicted of their own defect.

use latecall::emitter::Api;
use latecall::engine::Engine;
use latecall::engine::property::Property;
use latecall::engine::stress::Stress;
use latecall::engine::report::Report;
use latecall::subject::Subject;
use latecall::subject::catalogue::every;

#[global_allocator]
static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();

fn on_every_subject(engine: &dyn Engine) {
    let mut wrong = Vec::new();
    for it in every(Api::linked()) {
        if it.flaw.is_some_and(|flaw| flaw.crashes) {
            continue;
        }
        let t = std::time::Instant::now();
        let report: Report = engine.check(&it.subject, &mut |_| ());
        println!("{:28} {:9} programs {:5} runs {:6} not offered {:4} gave up {:4} {:?} {:?}", report.subject, report.engine, report.programs, report.runs, report.not_offered, report.gave_up, report.convicted_of(), t.elapsed());
        if let Some(e) = &report.error { println!("ERROR {e}"); wrong.push(report.subject.clone()); }
        match it.flaw {
            None => if !report.is_clean() { let f = report.finding.as_ref(); println!("{:#?}", f); wrong.push(report.subject.clone()); }
            Some(flaw) => {
                let ok = report.convicted_of().is_some_and(|k| flaw.convicted_of.contains(&k));
                if let Some(f) = &report.finding { println!("{} steps\n{}", f.steps, f.program); }
                if !ok { println!("   *** {} not convicted, wants {:?}", it.subject.name(), flaw.convicted_of); if flaw.convicted_by.contains(&engine.name()) { wrong.push(report.subject.clone()); } }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn property() { on_every_subject(&Property::default()); }

#[test]
fn stress() { on_every_subject(&Stress::default()); }
