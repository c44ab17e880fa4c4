//! A check in a process of its own: whatever the subject does to the process, there is a report.
//!
//! The process is this executable again, as `latecall check … --json`. It writes [`CheckMessage`]s to its standard
//! output, one a line. It also keeps a crash record (`crash_record`): each program before it runs, and the events of
//! its run. If the process dies, the finding's program is the one in the crash record, made smaller by running
//! smaller programs in further processes.
//!
//! Not here: what a report means (`verdict`), and in which order checks run (`mod`).

use super::check::{Check, CheckMessage};
use super::{crash_record, memfile};
use crate::engine::report::{Counterexample, Report};
use crate::engine::timeline;
use crate::ledger::{Violation, ViolationKind};
use crate::program::Program;
use crate::program::shrink::{self, Tries};
use crate::subject::Library;
use crate::sync::{mpsc, thread};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to exit once it has reported. What the subject left behind runs then (`atexit`).
const EXIT: Duration = Duration::from_secs(10);
/// How many processes may be run to make a program that kills them smaller, and for how long.
const TRIES: Tries = Tries { most: 60 };
const TRY_FOR: Duration = Duration::from_secs(20);

/// How a check is run in its process, beside what it checks.
#[derive(Debug, Clone, Copy)]
pub struct ChildOptions<'a> {
    program: Option<&'a Program>,
    repeat: u32,
    timeline: bool,
    minimise: bool,
    limit: Duration,
}

impl<'a> ChildOptions<'a> {
    /// The engine's own programs; the process is killed after `limit`.
    pub fn new(limit: Duration) -> Self {
        ChildOptions { program: None, repeat: 1, timeline: false, minimise: false, limit }
    }

    /// Runs this program only.
    #[must_use]
    pub fn program(mut self, program: &'a Program) -> Self {
        self.program = Some(program);
        self
    }

    /// How often that program is run (default: once).
    #[must_use]
    pub fn repeat(mut self, times: u32) -> Self {
        self.repeat = times;
        self
    }

    /// Whether the timeline of a clean run of that program is asked for.
    #[must_use]
    pub fn timeline(mut self, timeline: bool) -> Self {
        self.timeline = timeline;
        self
    }

    /// Whether a program that kills the process is made smaller.
    #[must_use]
    pub fn minimise(mut self, minimise: bool) -> Self {
        self.minimise = minimise;
        self
    }
}

/// The outcome of a check that ran in a child process.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "the report says whether a rule was broken"]
pub struct ChildReport {
    /// What was found. There is a report whatever happens to the process.
    pub report: Report,
    /// See [`ChildOptions::timeline`].
    pub timeline: Option<Vec<String>>,
}

/// Runs a check in a process of its own. `executable` has to understand `check` as the `latecall` command does.
///
/// Blocks until the check is over, and leaves no process behind.
pub fn run(executable: &Path, check: &Check, options: ChildOptions<'_>, watch: &mut dyn FnMut(&Report)) -> ChildReport {
    let fresh = Report::new(&check.subject, &check.engine);
    let mut ended = match run_process(executable, check, options, watch) {
        Ok(ended) => ended,
        Err(error) => {
            let text = format!("{} could not be run as a check: {error}", executable.display());
            return ChildReport { report: Report { error: Some(text), ..fresh }, timeline: None };
        }
    };
    let mut report = ended.report.take().or(ended.progress.take()).unwrap_or(fresh);
    match ended.end {
        ChildEnd::Reported => {}
        // A finding that was reported stands, however its process ends: the subject has done its worst.
        ChildEnd::TooLong(_) | ChildEnd::Died(_) if report.finding.is_some() => {}
        ChildEnd::TooLong(limit) => {
            let program = crash_record::read(&ended.record);
            let program = program.map(|(it, _)| format!("; the program that ran:\n{it}")).unwrap_or_default();
            report.error = Some(if ended.reported {
                format!("its process had not exited {:.1} s after its report{program}", EXIT.as_secs_f64())
            } else {
                format!("still running after {:.1} s, which is the limit{program}", limit.as_secs_f64())
            });
        }
        ChildEnd::Broken(text) => report.error = Some(text),
        ChildEnd::Died(signal) => {
            let stderr = stderr_tail(&mut ended.stderr);
            report.finding = crash_finding(executable, check, options, signal, &stderr, &ended.record);
            if let Some(finding) = &mut report.finding {
                if ended.reported {
                    finding.violation.text += "; the check was over, and its process was about to exit";
                } else {
                    // The process died in a run that came after the last run that it reported.
                    report.programs += 1;
                    report.runs += 1;
                }
                if report.bounded_by.is_empty() {
                    report.bounded_by = "the end of its process".to_owned();
                }
            } else {
                let signal = signal_name(signal);
                report.error = Some(format!("its process died of {signal} before it ran a program{stderr}"));
            }
        }
    }
    ChildReport { report, timeline: ended.timeline }
}

/// A process that has ended.
struct EndedChild {
    /// Its last report.
    report: Option<Report>,
    /// It came to its report.
    reported: bool,
    /// The last progress that it told of.
    progress: Option<Report>,
    timeline: Option<Vec<String>>,
    end: ChildEnd,
    /// Its crash record.
    record: File,
    /// What it wrote to its standard error.
    stderr: File,
}

enum ChildEnd {
    /// It reported, and exited.
    Reported,
    /// It died of this signal.
    Died(i32),
    /// It was killed after this limit.
    TooLong(Duration),
    /// It did not do what a check does; the text says what it did.
    Broken(String),
}

fn run_process(
    executable: &Path,
    check: &Check,
    options: ChildOptions<'_>,
    watch: &mut dyn FnMut(&Report),
) -> io::Result<EndedChild> {
    let record = memfile::create()?;
    let mut stderr = memfile::create()?;
    let program = options.program.map(|program| memfile::with_text(&program.to_string())).transpose()?;

    let mut command = Command::new(executable);
    command.args(["check", "--json", "--subject", &check.subject, "--engine", &check.engine]);
    command.args(["--seed", &check.seed.to_string(), "--budget", check.budget.name(), "--crash-record"]);
    command.arg(memfile::path_for_children(&record));
    if let Library::Object(path) = &check.library {
        command.arg("--emitter").arg(path);
    }
    if let Some(program) = &program {
        command.args(["--repeat", &options.repeat.to_string(), "--program"]);
        command.arg(memfile::path_for_children(program));
        if options.timeline {
            command.arg("--timeline");
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr.try_clone()?);
    let parent = std::process::id();
    // SAFETY: the function runs between fork and exec. It only makes system calls, allocates nothing and takes no lock.
    unsafe { command.pre_exec(move || die_with(parent)) };

    let began = Instant::now();
    let mut child = KilledOnDrop(command.spawn()?);
    let stdout = child.0.stdout.take();
    let (to, from) = mpsc::channel();
    let mut ended = EndedChild {
        report: None,
        reported: false,
        progress: None,
        timeline: None,
        end: ChildEnd::Reported,
        record,
        stderr: stderr.try_clone()?,
    };
    let end = thread::scope(|scope| {
        scope.spawn(move || stdout.map(|stdout| read_messages(stdout, &to)));
        let mut until = began + options.limit;
        loop {
            match from.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Ok(CheckMessage::Progress(report))) => {
                    watch(&report);
                    ended.progress = Some(report);
                }
                Ok(Ok(CheckMessage::Timeline(lines))) => ended.timeline = Some(lines),
                Ok(Ok(CheckMessage::Report(report))) => {
                    ended.report = Some(report);
                    ended.reported = true;
                    until = Instant::now() + EXIT;
                }
                Ok(Err(line)) => {
                    // Ends the reading thread's wait: a process that writes no messages need not end by itself.
                    let _ = child.0.kill();
                    break Some(ChildEnd::Broken(line));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break None,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    // Ends the reading thread's wait, too. An error means that the process is already gone.
                    let _ = child.0.kill();
                    break Some(ChildEnd::TooLong(options.limit));
                }
            }
        }
    });
    ended.end = match end {
        Some(end) => end,
        None => {
            let status = child.0.wait()?;
            match status.signal() {
                Some(libc::SIGKILL) => ChildEnd::Broken(
                    "its process was killed (SIGKILL): by another process, or by the kernel because memory ran out"
                        .to_owned(),
                ),
                Some(signal) => ChildEnd::Died(signal),
                None if ended.report.is_some() => ChildEnd::Reported,
                None => {
                    let text = format!("its process ended with {}{}", exit_code(status), stderr_tail(&mut stderr));
                    ChildEnd::Broken(text)
                }
            }
        }
    };
    Ok(ended)
}

fn exit_code(status: ExitStatus) -> String {
    format!("exit code {} and without a report", status.code().unwrap_or(-1))
}

/// Sends on the process's messages, one a line, until the process closes its standard output.
fn read_messages(stdout: ChildStdout, to: &mpsc::Sender<Result<CheckMessage, String>>) {
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

/// A process that is killed when this is dropped.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill(); // an error means that it is already gone
        let _ = self.0.wait();
    }
}

/// Runs in the new process. The process will be killed when the thread that made it ends, and leaves no core file.
fn die_with(parent: u32) -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal's number and touches no memory of ours.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes no argument, touches no memory, and always succeeds.
    if u32::try_from(unsafe { libc::getppid() }) != Ok(parent) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH)); // the parent had ended before the attribute was set
    }
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` lives until the call returns, which only reads it.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
    Ok(())
}

/// The end of what a process wrote to its standard error, for a message.
fn stderr_tail(stderr: &mut File) -> String {
    const MOST: u64 = 2000;
    let mut text = Vec::new();
    let end = stderr.seek(SeekFrom::End(0)).unwrap_or(0);
    let read = stderr.seek(SeekFrom::Start(end.saturating_sub(MOST))).and_then(|_| stderr.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    match read {
        Ok(n) if n > 0 => format!("; its standard error: {}", text.trim_end()),
        _ => String::new(),
    }
}

/// The finding that a program killed the process; `None` if the process had run no program.
fn crash_finding(
    executable: &Path,
    check: &Check,
    options: ChildOptions<'_>,
    signal: i32,
    stderr: &str,
    record: &File,
) -> Option<Counterexample> {
    let (mut program, mut events) = crash_record::read(record)?;
    if options.minimise {
        let began = Instant::now();
        let mut dies = |candidate: &Program| {
            let options = options.program(candidate).repeat(3).timeline(false);
            let ended = (began.elapsed() < TRY_FOR).then(|| run_process(executable, check, options, &mut |_| {}));
            let Some(Ok(ended)) = ended else { return false };
            let died = matches!(ended.end, ChildEnd::Died(it) if it == signal);
            if died {
                // The last candidate that kills the process is the one that is kept.
                events = crash_record::read(&ended.record).map_or(Vec::new(), |(_, events)| events);
            }
            died
        };
        program = shrink::minimise(&program, &mut dies, TRIES);
    }
    program.subject = Some(check.subject.clone());
    let text = format!("the process died of {} while this program ran{stderr}", signal_name(signal));
    let text = text.replace('\n', " ");
    let violation = Violation { kind: ViolationKind::Crashed, callback: None, text, proof: Vec::new() };
    let timeline = timeline::lines(&program, &events);
    Some(Counterexample::new(violation, &program, timeline))
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGSEGV => "SIGSEGV (an access to memory that is not mapped, or not for this)",
        libc::SIGBUS => "SIGBUS (an access to memory that cannot be provided)",
        libc::SIGABRT => "SIGABRT (it called abort)",
        libc::SIGILL => "SIGILL (an illegal instruction)",
        libc::SIGFPE => "SIGFPE (a division by zero, or the like)",
        libc::SIGTRAP => "SIGTRAP (a breakpoint or trap instruction)",
        libc::SIGTERM => "SIGTERM (another process asked it to end)",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
