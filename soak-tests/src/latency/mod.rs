//! How long a line takes to become a flushed record, while lines come at a fixed rate whether or not anybody keeps up.
//!
//! ```text
//!  schedule: line n is due at n / rate ─► stdin of the binary ─► stdout ─► here: now − when it was due
//! ```
//!
//! Every line has a moment at which it ought to be sent, and its latency counts from there: when the pipe is full and
//! the sender has to wait, that wait is part of the figure. So there is nothing left to correct for what is called
//! coordinated omission: no measurement is left out because an earlier one took long.

mod table;

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::generate::random::Random;
use crate::generate::stamp::{Stamps, T0_US};
use crate::process;
use crate::report::machine::Machine;
use crate::stopwatch::Stopwatch;

/// What to measure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  logbraid-soak latency                  10, 50 and 90 % of the highest sustainable rate, and 100 000 lines/s
  logbraid-soak latency --rate 20000     one rate
  logbraid-soak report                   writes what was measured to docs/benchmarks.md")]
pub struct Options {
    /// Seconds that lines are offered at each rate.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Lines a second; may be given several times [default: 10, 50, 90 % of the highest, and 100000].
    #[arg(long)]
    pub rate: Vec<u64>,
    /// Lines that are sent as fast as they are taken, to find the highest rate.
    #[arg(long, default_value_t = 1_000_000)]
    pub lines: u64,
    /// Where the figures go.
    #[arg(long, default_value = "target/prove/latency.json", value_name = "FILE")]
    pub json: PathBuf,
    /// The binary [default: beside this program].
    #[arg(long)]
    pub binary: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Where and when.
    pub machine: Machine,
    /// Lines a second when they are sent as fast as they are taken.
    pub highest: f64,
    /// Each rate.
    pub rates: Vec<Rate>,
}

/// One rate.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rate {
    /// What it is in words.
    pub name: String,
    /// Lines a second.
    pub offered: f64,
    /// Records a second that came back, until the last had come.
    pub reached: f64,
    /// Lines.
    pub lines: u64,
    /// Records that came back.
    pub records: u64,
    /// From the moment a line was due.
    pub from_line: Percentiles,
    /// From the moment the line was due that let the watermark pass.
    pub from_watermark: Percentiles,
}

/// Microseconds at shares of all records.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// Pairs of a percentile and the microseconds below which it lies.
    pub points: Vec<(f64, u64)>,
}

impl Percentiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0];
        Self { points: at.map(|share| (share, histogram.value_at_percentile(share))).to_vec() }
    }
    /// Milliseconds at a percentile that was kept.
    pub fn ms(&self, share: f64) -> f64 {
        let found = self.points.iter().find(|(at, _)| (at - share).abs() < 1e-9);
        found.map_or(0.0, |(_, us)| *us as f64 / 1000.0)
    }
}

/// The watermark moves in steps of this, so that a record waits for half of it on average before it may leave.
const TICK_US: u64 = 10_000;
/// Lines of a request.
const REQUEST: u64 = 20;

/// Measures, prints and keeps the figures; true when every line came back at every rate.
///
/// # Errors
/// When the binary is missing or stops early.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("latency.yaml");
    // Entries leave as they are released: nothing waits for lines that are out of order, or for a request's silence.
    let text = format!(
        "sources:\n  - stdin: {{}}\ntime: {{ max_delay: 0s, tick: {}ms }}\noperators:\n  - thread: {{}}\n  - correlate: \
         {{ gap: 5s }}\n  - hierarchy: {{}}\n  - error_flow: {{}}\nsinks:\n  - stdout: {{ take: [entries, findings] }}\n",
        TICK_US / 1000
    );
    fs::write(&config, text)?;
    let mut done = Latency { machine: Machine::here(), ..Latency::default() };
    // As fast as lines are taken: the schedule has them all due at once, and the pipe holds the sender back.
    let highest = offer(&binary, &config, "highest", 1e9, options.lines)?;
    done.highest = highest.reached;
    writeln!(out, "highest rate: {:.0} lines/s", done.highest)?;
    let mut rates: Vec<(String, f64)> =
        options.rate.iter().map(|rate| (format!("{rate}/s"), *rate as f64)).collect();
    if rates.is_empty() {
        rates = [10, 50, 90]
            .map(|share| (format!("{share} %"), done.highest * f64::from(share) / 100.0))
            .to_vec();
        rates.push(("100 000/s".to_owned(), 100_000.0));
    }
    for (name, rate) in rates {
        let lines = (rate * options.seconds as f64) as u64;
        let rate = offer(&binary, &config, &name, rate, lines)?;
        writeln!(out, "{}", rate.line())?;
        done.rates.push(rate);
    }
    done.machine = done.machine.ended();
    if let Some(folder) = options.json.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&options.json, serde_json::to_vec_pretty(&done)?)?;
    writeln!(out, "\n{}\nfigures: {}", done.markdown(), options.json.display())?;
    Ok(done.rates.iter().all(|rate| rate.records == rate.lines))
}

/// Offers `lines` lines at `rate` a second to a process of its own.
fn offer(binary: &Path, config: &Path, name: &str, rate: f64, lines: u64) -> io::Result<Rate> {
    let mut child = Command::new(binary)
        .args(["run", "-c"])
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("a process without pipes"));
    };
    // The start of the program is no part of a line's way.
    thread::sleep(Duration::from_millis(300));
    let watch = Stopwatch::start();
    let sender =
        thread::Builder::new().name("send".to_owned()).spawn(move || send(stdin, watch, rate, lines))?;
    let (records, last_s, [from_line, from_watermark]) = receive(stdout, watch, rate)?;
    let status = child.wait()?;
    sender.join().map_err(|_| io::Error::other("the sender failed"))??;
    if !status.success() {
        return Err(io::Error::other(format!("logbraid ended with {status}")));
    }
    Ok(Rate {
        name: name.to_owned(),
        offered: rate,
        reached: records as f64 / last_s,
        lines,
        records,
        from_line: Percentiles::of(&from_line),
        from_watermark: Percentiles::of(&from_watermark),
    })
}

/// Sends each line when it is due, or as soon after as the pipe takes it; wakes up every millisecond.
fn send(mut to: ChildStdin, watch: Stopwatch, rate: f64, lines: u64) -> io::Result<()> {
    let (mut random, mut stamps) = (Random::new(42), Stamps::default());
    let (mut next, mut buffer) = (0, Vec::new());
    while next < lines {
        let due = ((watch.seconds() * rate) as u64 + 1).min(lines);
        // A full pipe must not make the next write larger and larger.
        let until = due.min(next + 2000);
        buffer.clear();
        while next < until {
            line(&mut buffer, &mut stamps, &mut random, next, rate);
            next += 1;
        }
        to.write_all(&buffer)?;
        if due == until {
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// A line of about 230 bytes whose time is the moment at which it is due.
fn line(out: &mut Vec<u8>, stamps: &mut Stamps, random: &mut Random, number: u64, rate: f64) {
    out.extend_from_slice(b"{\"timestamp\": \"");
    stamps.iso(out, T0_US + due_us(number, rate));
    let level = if random.chance(10) { "ERROR" } else { "INFO" };
    // 200 requests are open at once.
    let request = number / (200 * REQUEST) * 200 + number % 200;
    let text = format!(
        "\", \"level\": \"{level}\", \"message\": \"GET /api/orders/{} 200 in {} ms\", \"thread_id\": \"worker-{:03}\", \
         \"correlation_id\": \"req-{request:06}\", \"trace_id\": \"trace-{request:04x}\", \"fields\": {{\"duration_ms\": {}.5}}}}\n",
        random.below(10_000),
        random.below(500),
        random.below(10),
        random.below(500)
    );
    out.extend_from_slice(text.as_bytes());
}

fn due_us(number: u64, rate: f64) -> u64 {
    // When lines come as fast as they can, their times still have to pass.
    (number as f64 / rate.min(1e6) * 1e6) as u64
}

type Histograms = [Histogram<u64>; 2];

/// Reads records until the process ends: how many entries, when the last came, and their latencies.
fn receive(from: ChildStdout, watch: Stopwatch, rate: f64) -> io::Result<(u64, f64, Histograms)> {
    let histogram = || Histogram::new_with_bounds(1, 3_600_000_000, 3).map_err(io::Error::other);
    let mut histograms = [histogram()?, histogram()?];
    let mut from = BufReader::with_capacity(256 * 1024, from);
    let (mut text, mut records, mut last_s) = (Vec::new(), 0_u64, 0.0);
    let find = memchr::memmem::Finder::new(b"\"line\":");
    loop {
        text.clear();
        if from.read_until(b'\n', &mut text)? == 0 {
            return Ok((records, last_s, histograms));
        }
        if !text.starts_with(b"{\"type\":\"entry\"") {
            continue;
        }
        let Some(at) = find.find(&text) else { continue };
        let digits = text[at + 7..].iter().take_while(|byte| byte.is_ascii_digit());
        let number =
            digits.fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0')).saturating_sub(1);
        let now_us = u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX);
        let due = due_us(number, rate);
        let passed = (due / TICK_US + 1) * TICK_US;
        histograms[0].saturating_record(now_us.saturating_sub(due).max(1));
        histograms[1].saturating_record(now_us.saturating_sub(passed).max(1));
        records += 1;
        last_s = now_us as f64 / 1e6;
    }
}
