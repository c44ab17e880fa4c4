//! Instructions a call, counted by callgrind: they do not depend on what else the machine is doing.

use std::process::{Command, ExitCode};

/// Name, and the most that the loop and one call may take. What is measured today on x86-64 with rustc 1.95, and two
/// more.
const LIMITS: &[(&str, f64)] = &[("raw", 14.0), ("generic", 43.0), ("shared", 54.0), ("nested", 115.0), ("late", 62.0)];

pub(crate) fn print() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for &(name, limit) in LIMITS {
        match count(name) {
            Some(instructions) => {
                let verdict = if instructions <= limit { "pass" } else { "falls short" };
                println!("{name:<10} {instructions:>7.1} instructions a call, at most {limit}: {verdict}");
                if instructions > limit {
                    code = ExitCode::from(1);
                }
            }
            None => {
                println!("{name:<10} could not be counted: is valgrind installed?");
                code = ExitCode::from(3);
            }
        }
    }
    code
}

/// The difference of two runs that differ in the number of calls.
fn count(name: &str) -> Option<f64> {
    let run = |calls: u32| {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().ok()?)
            .args(["child", &format!("fire-only/{name}:{calls}")])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find(|line| line.contains("Collected :"))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    Some((run(20_000)? - run(10_000)?) / 10_000.0)
}
