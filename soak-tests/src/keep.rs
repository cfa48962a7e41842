//! A long stream through `logbraid keep`, and what comes out against what is true of it.
//!
//! ```text
//!  entries ─► lines ─► a pipe ─► logbraid keep ─► a pipe ─► lines by request
//!     └─► by request: lines, errors, sum of hashes ──────────► the same, when it was kept
//! ```
//!
//! Nothing is stored: the stream may be as long as patience allows. A request is whole when as many lines came out as
//! went in, and the hashes of their bytes have the same sum.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use clap::Args;
use logbraid_core::Id;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::generate::Workload;
use crate::generate::entry::Entries;
use crate::generate::layout::Layout;
use crate::generate::message::Severity;
use crate::generate::random::Random;
use crate::generate::stamp::Stamps;
use crate::process;
use crate::stopwatch::Stopwatch;

/// Options of `keep`.
#[derive(Debug, Args)]
pub struct Options {
    /// How many lines.
    #[arg(long, default_value_t = 10_000_000)]
    pub entries: u64,
    /// Lines of a request; 0: requests last as long as the stream.
    #[arg(long, default_value_t = 10)]
    pub request_entries: u64,
    /// Requests that are open at once.
    #[arg(long, default_value_t = 1000)]
    pub open: u64,
    /// Errors among a thousand lines: with ten lines a request, one in a thousand makes one request in a hundred fail.
    #[arg(long, default_value_t = 1)]
    pub error_permille: u64,
    /// Microseconds of event time between lines; 0: 2750.
    #[arg(long, default_value_t = 0)]
    pub step_us: u64,
    /// How far out of order times are, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    pub jitter_ms: u64,
    /// Of a thousand lines, so many come late.
    #[arg(long, default_value_t = 0)]
    pub late_permille: u64,
    /// How many lines later they come.
    #[arg(long, default_value_t = 10_000)]
    pub late_by: u64,
    /// Decides every draw.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// The binary; without it, the one beside this program.
    #[arg(long, value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// Options of `logbraid keep`.
    #[arg(last = true, default_values = ["--errors", "--rest", "1%"])]
    pub policy: Vec<String>,
}

/// What is true of a request, or what came out of it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Request {
    lines: u32,
    errors: u32,
    sum: u64,
}

#[derive(Default)]
struct Requests {
    all: Vec<Request>,
    lines: u64,
    bytes: u64,
}

impl Requests {
    fn add(&mut self, request: u64, line: &[u8], error: bool) {
        let at = usize::try_from(request).unwrap_or(usize::MAX);
        if at >= self.all.len() {
            self.all.resize(at + 1, Request::default());
        }
        if let Some(of) = self.all.get_mut(at) {
            of.lines += 1;
            of.errors += u32::from(error);
            of.sum = of.sum.wrapping_add(Id::of(&[&String::from_utf8_lossy(line)]).0);
        }
        self.lines += 1;
        self.bytes += line.len() as u64;
    }
}

/// The request that a generated JSON line names.
fn request_of(line: &[u8]) -> Option<u64> {
    let mark = b"\"req-";
    let at = memchr::memmem::find(line, mark)? + mark.len();
    let digits = line.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Writes the stream; some lines later than the others.
fn feed(options: &Options, to: &mut dyn Write) -> io::Result<Requests> {
    let workload = Workload {
        entries: options.entries,
        error_permille: options.error_permille,
        open: options.open.max(1),
        request_entries: options.request_entries,
        step_us: options.step_us,
        jitter_us: options.jitter_ms.saturating_mul(1000),
        seed: options.seed,
        ..Workload::default()
    };
    let mut dice = Random::new(options.seed ^ 0x5eed);
    let (mut entries, mut stamps) = (Entries::new(workload, None), Stamps::default());
    let mut truth = Requests::default();
    let mut late: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
    let mut buffer = Vec::new();
    let mut at = 0;
    while let Some(entry) = entries.draw() {
        let start = buffer.len();
        Layout::Json.write(&mut buffer, &mut stamps, entry);
        let line = buffer.get(start..).unwrap_or_default();
        truth.add(entry.request, line, entry.level == Severity::Error);
        if dice.below(1000) < options.late_permille {
            late.push_back((at + options.late_by, buffer.split_off(start)));
        }
        at += 1;
        while late.front().is_some_and(|(due, _)| *due <= at)
            && let Some((_, line)) = late.pop_front()
        {
            buffer.extend_from_slice(&line);
        }
        if buffer.len() >= 256 << 10 {
            to.write_all(&buffer)?;
            buffer.clear();
        }
    }
    for (_, line) in late {
        buffer.extend_from_slice(&line);
    }
    to.write_all(&buffer)?;
    to.flush()?;
    Ok(truth)
}

/// Pipes the stream through and prints what came of it. True when every request that failed came out whole.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    let before = cpu_s()?;
    let watch = Stopwatch::start();
    let mut child = Command::new(binary)
        .arg("keep")
        .args(&options.policy)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let gone = || io::Error::other("a pipe to the binary is missing");
    let (mut stdin, stdout, mut stderr) =
        (stdin.ok_or_else(gone)?, stdout.ok_or_else(gone)?, stderr.ok_or_else(gone)?);
    let (truth, kept, said, rss) = thread::scope(|scope| {
        let writer = scope.spawn(move || feed(options, &mut stdin));
        let reader = scope.spawn(move || read(stdout));
        let notes = scope.spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        let mut rss = 0;
        while !reader.is_finished() {
            rss = rss.max(process::rss_peak(child.id()).unwrap_or(0));
            thread::sleep(std::time::Duration::from_millis(20));
        }
        let broken = |_| io::Error::other("a thread of the test has failed");
        io::Result::Ok((
            writer.join().map_err(broken)??,
            reader.join().map_err(broken)??,
            notes.join().map_err(broken)??,
            rss,
        ))
    })?;
    let status = child.wait()?;
    let seconds = watch.seconds();
    // The generator runs in this process, so children are the binary alone.
    let cpu = cpu_s()? - before;
    let judged = judge(&truth, &kept);
    writeln!(
        out,
        "in: {} lines, {:.1} MB, {} requests, {} failing ({:.2} %) with {} lines",
        truth.lines,
        truth.bytes as f64 / 1e6,
        judged.requests,
        judged.failing,
        100.0 * judged.failing as f64 / judged.requests.max(1) as f64,
        judged.failing_lines,
    )?;
    writeln!(
        out,
        "out: {} lines, {:.1} MB ({:.2} %)",
        kept.lines,
        kept.bytes as f64 / 1e6,
        100.0 * kept.bytes as f64 / truth.bytes.max(1) as f64
    )?;
    writeln!(
        out,
        "failing requests: whole {} incomplete {} (lines missing {}, of them errors {})",
        judged.failing - judged.failing_incomplete,
        judged.failing_incomplete,
        judged.lines_missing,
        judged.errors_missing,
    )?;
    writeln!(
        out,
        "other requests: kept whole {} in part {} ({:.3} % of them)",
        judged.others_whole,
        judged.others_part,
        100.0 * (judged.others_whole + judged.others_part) as f64
            / (judged.requests - judged.failing).max(1) as f64
    )?;
    writeln!(
        out,
        "lines changed or twice: {}; {:.2} M lines/s, wall {seconds:.1} s, cpu {cpu:.1} s, peak RSS {:.1} MiB, exit {status}",
        judged.changed,
        truth.lines as f64 / seconds / 1e6,
        rss as f64 / 1_048_576.0,
    )?;
    write!(out, "{said}")?;
    Ok(judged.failing_incomplete == 0 && judged.changed == 0 && status.success())
}

fn cpu_s() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}

fn read(from: impl Read) -> io::Result<Requests> {
    let mut from = BufReader::with_capacity(256 << 10, from);
    let mut kept = Requests::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Ok(kept);
        }
        let request = request_of(&line).ok_or_else(|| io::Error::other("a line that was never written"))?;
        let error = memchr::memmem::find(&line, b"\"level\": \"ERROR\"").is_some();
        kept.add(request, &line, error);
    }
}

#[derive(Default)]
struct Judged {
    requests: u64,
    failing: u64,
    failing_lines: u64,
    failing_incomplete: u64,
    lines_missing: u64,
    errors_missing: u64,
    others_whole: u64,
    others_part: u64,
    changed: u64,
}

fn judge(truth: &Requests, kept: &Requests) -> Judged {
    let mut judged = Judged::default();
    for (at, request) in truth.all.iter().enumerate() {
        if request.lines == 0 {
            continue;
        }
        let came = kept.all.get(at).copied().unwrap_or_default();
        judged.requests += 1;
        let whole = came == *request;
        // As many lines with other bytes, or more lines than there were.
        judged.changed += u64::from(came.lines >= request.lines && !whole);
        if request.errors > 0 {
            judged.failing += 1;
            judged.failing_lines += u64::from(request.lines);
            judged.failing_incomplete += u64::from(!whole);
            judged.lines_missing += u64::from(request.lines.saturating_sub(came.lines));
            judged.errors_missing += u64::from(request.errors.saturating_sub(came.errors));
        } else if came.lines > 0 {
            judged.others_whole += u64::from(whole);
            judged.others_part += u64::from(!whole);
        }
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_a_changed_and_a_second_line_are_noticed() {
        let options = Options {
            entries: 4000,
            request_entries: 10,
            open: 20,
            error_permille: 5,
            step_us: 0,
            jitter_ms: 100,
            late_permille: 20,
            late_by: 50,
            seed: 1,
            binary: None,
            policy: Vec::new(),
        };
        let mut bytes = Vec::new();
        let truth = feed(&options, &mut bytes).unwrap_or_default();
        assert_eq!(truth.lines, 4000);
        let all = read(bytes.as_slice()).unwrap_or_default();
        let judged = judge(&truth, &all);
        assert!(judged.failing > 5 && judged.requests >= 400, "{} {}", judged.failing, judged.requests);
        assert_eq!((judged.failing_incomplete, judged.changed, judged.others_part), (0, 0, 0));

        let error = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .position(|line| memchr::memmem::find(line, b"\"level\": \"ERROR\"").is_some());
        let error = error.unwrap_or_default();
        let without: Vec<u8> = (bytes.split_inclusive(|byte| *byte == b'\n').enumerate())
            .filter(|(at, _)| *at != error)
            .flat_map(|(_, line)| line.iter().copied())
            .collect();
        let judged = judge(&truth, &read(without.as_slice()).unwrap_or_default());
        assert_eq!((judged.failing_incomplete, judged.errors_missing), (1, 1));

        let mut twice = bytes.clone();
        twice.extend(bytes.iter().copied().take_while(|byte| *byte != b'\n').chain([b'\n']));
        assert_eq!(judge(&truth, &read(twice.as_slice()).unwrap_or_default()).changed, 1);
    }
}
