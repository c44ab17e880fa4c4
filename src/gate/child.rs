//! A check in a process of its own: whatever the subject does to the process, there is a report.
//!
//! The process is this executable again, as `latecall check … --json`. It tells on its standard output, one [`Message`] a
//! line, and writes each program down before it runs it, and what happens in the run, into memory that the two share (`shared`).
//! When it dies, the last of those is the finding's program, made smaller by letting further processes die of it.
//!
//! Not here: what a report means (`verdict`), and in which order checks run (`mod`).

use super::check::{Check, Message};
use super::shared;
use crate::engine::report::{Counterexample, Report};
use crate::engine::timeline;
use crate::ledger::{Violation, ViolationKind};
use crate::program::Program;
use crate::program::shrink::{self, Tries};
use crate::subject::Library;
use crate::sync::{mpsc, thread};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to exit once it has reported: what the subject left behind runs then (`atexit`).
const EXIT: Duration = Duration::from_secs(10);
/// Most processes that die to make a program smaller, and for how long.
const TRIES: Tries = Tries { most: 60 };
const TRY_FOR: Duration = Duration::from_secs(20);

/// What to run, beside the check.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// This program only.
    pub program: Option<&'a Program>,
    /// How often that one is run.
    pub repeat: u32,
    /// Ask for the timeline of a clean run of it.
    pub timeline: bool,
    /// Make a program that kills the process smaller.
    pub minimise: bool,
    /// How long it may take.
    pub limit: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct ChildReport {
    /// What was found; always there.
    pub report: Report,
    /// See [`Ask::timeline`].
    pub timeline: Option<Vec<String>>,
}

/// Runs a check in a process of its own. `executable` is one that understands `check` as the `latecall` command does.
/// Blocks until it is over, and leaves no process behind.
pub fn run(executable: &Path, check: &Check, ask: Ask<'_>, watch: &mut dyn FnMut(&Report)) -> ChildReport {
    let fresh = Report::new(&check.subject, &check.engine);
    let mut ended = match attempt(executable, check, ask, watch) {
        Ok(ended) => ended,
        Err(error) => {
            let text = format!("{} could not be run as a check: {error}", executable.display());
            return ChildReport { report: Report { error: Some(text), ..fresh }, timeline: None };
        }
    };
    let mut report = ended.report.take().or(ended.progress.take()).unwrap_or(fresh);
    match ended.end {
        End::Reported => {}
        // A finding that was already reported stands, however its process ends: the subject has done its worst.
        End::TooLong(_) | End::Died(_) if report.finding.is_some() => {}
        End::TooLong(limit) => {
            let under_way = shared::under_way(&ended.announced);
            let program = under_way.map(|(it, _)| format!("; it was running:\n{it}")).unwrap_or_default();
            report.error = Some(if ended.reported {
                format!("its process had reported and was still there {:.1} s later{program}", EXIT.as_secs_f64())
            } else {
                format!("still running after {:.1} s{program}", limit.as_secs_f64())
            });
        }
        End::Broken(text) => report.error = Some(text),
        End::Died(signal) => {
            let words = last_words(&mut ended.words);
            report.finding = crashed(executable, check, ask, signal, &words, &ended.announced);
            if let Some(finding) = &mut report.finding {
                if ended.reported {
                    finding.violation.text += "; the checks were over, and its process was on its way out";
                } else {
                    // The run that it died of was one, and came after the last that it told of.
                    report.programs += 1;
                    report.runs += 1;
                }
                if report.bounded_by.is_empty() {
                    report.bounded_by = "the end of its process".to_owned();
                }
            } else {
                let signal = signal_name(signal);
                report.error = Some(format!("its process died of {signal} before it ran a program{words}"));
            }
        }
    }
    ChildReport { report, timeline: ended.timeline }
}

/// How a process ended.
struct Ended {
    report: Option<Report>,
    /// It came to its report.
    reported: bool,
    progress: Option<Report>,
    timeline: Option<Vec<String>>,
    end: End,
    /// What it announced.
    announced: File,
    /// What it wrote to its standard error.
    words: File,
}

enum End {
    Reported,
    Died(i32),
    TooLong(Duration),
    Broken(String),
}

fn attempt(executable: &Path, check: &Check, ask: Ask<'_>, watch: &mut dyn FnMut(&Report)) -> io::Result<Ended> {
    let announced = memory()?;
    let mut words = memory()?;
    let program = ask.program.map(|program| text_in_memory(&program.to_string())).transpose()?;

    let mut command = Command::new(executable);
    command.args(["check", "--json", "--subject", &check.subject, "--engine", &check.engine]);
    command.args(["--seed", &check.seed.to_string(), "--budget", check.budget.name(), "--announce"]);
    command.arg(ours(&announced));
    if let Library::Object(path) = &check.library {
        command.arg("--emitter").arg(path);
    }
    if let Some(program) = &program {
        command.args(["--repeat", &ask.repeat.to_string(), "--program"]).arg(ours(program));
        if ask.timeline {
            command.arg("--timeline");
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(words.try_clone()?);
    let us = std::process::id();
    // SAFETY: what runs between fork and exec makes system calls only, allocates nothing and takes no lock.
    unsafe { command.pre_exec(move || die_with(us)) };

    let began = Instant::now();
    let mut child = Running(command.spawn()?);
    let stdout = child.0.stdout.take();
    let (to, from) = mpsc::channel();
    let mut ended = Ended {
        report: None,
        reported: false,
        progress: None,
        timeline: None,
        end: End::Reported,
        announced,
        words: words.try_clone()?,
    };
    let end = thread::scope(|scope| {
        scope.spawn(move || stdout.map(|stdout| read(stdout, &to)));
        let mut until = began + ask.limit;
        loop {
            match from.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Ok(Message::Progress(report))) => {
                    watch(&report);
                    ended.progress = Some(report);
                }
                Ok(Ok(Message::Timeline(lines))) => ended.timeline = Some(lines),
                Ok(Ok(Message::Report(report))) => {
                    ended.report = Some(report);
                    ended.reported = true;
                    until = Instant::now() + EXIT;
                }
                Ok(Err(line)) => break Some(End::Broken(line)),
                Err(mpsc::RecvTimeoutError::Disconnected) => break None,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let _ = child.0.kill(); // it ends the reader's wait, too; an error means that it is already gone
                    break Some(End::TooLong(ask.limit));
                }
            }
        }
    });
    ended.end = match end {
        Some(end) => end,
        None => {
            let status = child.0.wait()?;
            match status.signal() {
                Some(libc::SIGKILL) => {
                    End::Broken("its process was killed (SIGKILL): by somebody, or for want of memory".to_owned())
                }
                Some(signal) => End::Died(signal),
                None if ended.report.is_some() => End::Reported,
                None => End::Broken(format!("its process ended with {}{}", code(status), last_words(&mut words))),
            }
        }
    };
    Ok(ended)
}

fn code(status: ExitStatus) -> String {
    format!("exit code {} and without a report", status.code().unwrap_or(-1))
}

/// Messages, one a line, until the process closes its end.
fn read(stdout: ChildStdout, to: &mpsc::Sender<Result<Message, String>>) {
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(line) = line else { return };
        let message = serde_json::from_slice(&line).map_err(|error| {
            format!("its process wrote a line that is no message ({error}): {}", String::from_utf8_lossy(&line))
        });
        if to.send(message).is_err() {
            return;
        }
    }
}

/// A process that does not outlive its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // an error means that it is already gone
        let _ = self.0.wait();
    }
}

/// In the new process: it is killed when the thread that made it is gone, and leaves no core files.
fn die_with(parent: u32) -> io::Result<()> {
    // SAFETY: sets an attribute of this process; takes a number.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes nothing.
    if u32::try_from(unsafe { libc::getppid() }) != Ok(parent) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH)); // it had gone before the attribute was set
    }
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` is valid for the call.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
    Ok(())
}

/// A file that is nowhere but in memory.
pub(super) fn memory() -> io::Result<File> {
    // SAFETY: the name is a C string, and only for people who look into /proc.
    let fd = unsafe { libc::memfd_create(c"latecall".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

fn text_in_memory(text: &str) -> io::Result<File> {
    let mut file = memory()?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

/// By which name a process of ours opens a file of this process.
fn ours(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

/// The end of what a process wrote to its standard error, for a message.
fn last_words(words: &mut File) -> String {
    const MOST: u64 = 2000;
    let mut text = Vec::new();
    let end = words.seek(SeekFrom::End(0)).unwrap_or(0);
    let read = words.seek(SeekFrom::Start(end.saturating_sub(MOST))).and_then(|_| words.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    match read {
        Ok(n) if n > 0 => format!("; it said: {}", text.trim_end()),
        _ => String::new(),
    }
}

/// The finding that a process died of a program.
fn crashed(
    executable: &Path,
    check: &Check,
    ask: Ask<'_>,
    signal: i32,
    words: &str,
    announced: &File,
) -> Option<Counterexample> {
    let (mut program, mut events) = shared::under_way(announced)?;
    if ask.minimise {
        let began = Instant::now();
        let mut dies = |candidate: &Program| {
            let ask = Ask { program: Some(candidate), repeat: 3, timeline: false, ..ask };
            let Some(Ok(ended)) = (began.elapsed() < TRY_FOR).then(|| attempt(executable, check, ask, &mut |_| {}))
            else {
                return false;
            };
            let died = matches!(ended.end, End::Died(it) if it == signal);
            if died {
                // The last program that it dies of is the one that is kept.
                events = shared::under_way(&ended.announced).map_or(Vec::new(), |(_, events)| events);
            }
            died
        };
        program = shrink::minimise(&program, &mut dies, TRIES);
    }
    program.subject = Some(check.subject.clone());
    let mut text = format!("the process died of {} while this program ran{words}", signal_name(signal));
    text = text.replace('\n', " ");
    Some(Counterexample {
        violation: Violation { kind: ViolationKind::Crashed, callback: None, text, proof: Vec::new() },
        timeline: timeline::lines(&program, &events),
        program: program.to_string(),
        steps: program.len(),
    })
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGSEGV => "SIGSEGV (it touched memory that is not there)",
        libc::SIGBUS => "SIGBUS (it touched memory that cannot be had)",
        libc::SIGABRT => "SIGABRT (it aborted)",
        libc::SIGILL => "SIGILL (it ran what is no instruction)",
        libc::SIGFPE => "SIGFPE (it divided by zero)",
        libc::SIGTRAP => "SIGTRAP (it stopped itself)",
        libc::SIGTERM => "SIGTERM (somebody asked it to end)",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
