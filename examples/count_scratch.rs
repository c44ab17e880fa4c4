#![allow(missing_docs)]
use latecall::emitter::Api;
use latecall::engine::model::explore;
use latecall::engine::model::programs::{Size, all};
use latecall::model::Options;
use latecall::subject::{Subject, catalogue};
use std::time::Duration;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let subject = catalogue::find(&args[1], Api::linked()).unwrap().subject;
    let (ops, in_a) = (args[2].parse().unwrap(), args[3].parse().unwrap());
    let cap: u64 = args[4].parse().unwrap();
    let secs: u64 = args[5].parse().unwrap();
    let only = args.get(6);
    let programs = all(subject.offer().verbs, Size { ops, in_a_thread: in_a });
    println!("{} programs", programs.len());
    for program in programs {
        let text = program.to_string();
        let body: String = text.lines().skip_while(|l| !l.starts_with("thread")).collect::<Vec<_>>().join(";");
        let bodies: String = text.lines().take_while(|l| !l.starts_with("thread")).collect::<Vec<_>>().join(";");
        if let Some(only) = only && !body.contains(only.as_str()) { continue; }
        let options = Options::new().max_interleavings(cap).max_duration(Duration::from_secs(secs)).leave_repeats(std::env::var_os("PLAIN").is_none());
        let found = explore(&program, &subject, &options, &mut |_| {}).unwrap();
        println!("{:>9} {:>7} {:>7.2}s {:?} {} {}", found.exploration.interleavings, found.exploration.interleavings - found.exploration.repeats, found.exploration.elapsed.as_secs_f64(), found.exploration.extent, body, if bodies.contains("body") || bodies.lines().count() > 1 { bodies } else { String::new() });
        if let Some(v) = found.violation { println!("VIOLATION {v}"); }
    }
}
