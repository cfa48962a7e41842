//! What templates cost, and how often a log that is read a second time is found to hold new ones.

use std::hint::black_box;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use logbraid_core::component::{Context, no_files};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{Chain, Element, EventTime, Fields, Flags, Record, Span};
use logbraid_operators::OPERATORS;
use logbraid_operators::templates::{Limits, Miner};

use crate::accuracy;
use crate::stopwatch::{Stopwatch, median};

/// Options of `templates`.
#[derive(Debug, Args)]
pub struct Options {
    /// A folder of logs (`*.log`), each of which is read twice.
    pub folder: Option<PathBuf>,
    /// Messages of a round; the median of five rounds is told.
    #[arg(long, default_value_t = 1_000_000)]
    pub messages: usize,
}

/// How many templates are known.
const KNOWN: [usize; 5] = [10, 100, 1000, 5000, 10_000];
const ROUNDS: usize = 5;

/// Prints the cost per message by the number of known templates; then, for each log, new templates of both readings.
/// True when less than one line in a hundred was new in the second.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    for known in KNOWN {
        let ns = cost_ns(known, options.messages.max(1));
        writeln!(out, "{known:>6} templates  {ns:>4.0} ns/message  {:.2} M messages/s, one core", 1e3 / ns)?;
    }
    let Some(folder) = &options.folder else { return Ok(true) };
    let mut paths = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            paths.push(path);
        }
    }
    paths.sort();
    let (mut all, mut again) = (0, 0);
    for path in paths {
        let (lines, first, second) = read_twice(&std::fs::read(&path)?);
        all += lines;
        again += second;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        writeln!(out, "{name:<12} lines {lines:>6}  new at first {first:>4}  new again {second:>3}")?;
    }
    let share = again as f64 / all.max(1) as f64;
    writeln!(out, "new again: {again} of {all} lines ({:.3} %)", share * 100.0)?;
    Ok(share < 0.01)
}

/// A word of letters that follows from a number.
fn word(mut number: usize) -> String {
    let mut word = String::new();
    loop {
        word.push(char::from(b'a' + u8::try_from(number % 26).unwrap_or(0)));
        number /= 26;
        if number == 0 {
            return word;
        }
    }
}

/// Nanoseconds for a message of one of `known` templates.
fn cost_ns(known: usize, messages: usize) -> f64 {
    let texts: Vec<String> = (0..messages.min(100_000))
        .map(|n| {
            let kind = word(n.wrapping_mul(7919) % known);
            format!(
                "{kind} step{kind} finished request id={n} for 10.0.{}.{} in {}ms, status={}",
                n % 256,
                n % 251,
                n % 997,
                200 + n % 5
            )
        })
        .collect();
    let mut miner = Miner::new(Limits { templates_max: 20_000, ..Limits::default() });
    for text in &texts {
        miner.add(text, EventTime::MIN);
    }
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let watch = Stopwatch::start();
            for text in texts.iter().cycle().take(messages) {
                black_box(miner.add(text, EventTime::MIN));
            }
            watch.seconds() * 1e9 / messages as f64
        })
        .collect();
    median(&mut rounds)
}

/// Lines, and how many of them were the first of their template in the first and in the second reading.
fn read_twice(bytes: &[u8]) -> (u64, u64, u64) {
    let mut fields = Fields::default();
    let mut context = Context {
        fields: &mut fields,
        time: TimeSettings::default(),
        carry: Span::ZERO,
        originals: false,
        read: no_files,
    };
    let settings = serde_json::json!({ "warm_up": "0s", "rare_after": "1d" });
    let operator = OPERATORS
        .iter()
        .find(|spec| spec.name == "templates")
        .and_then(|spec| (spec.build)(&settings, &mut context).ok());
    let Some(operator) = operator else { return (0, 0, 0) };
    let mut chain = Chain::new(vec![operator], true, Span::from_seconds(60));
    let mut readings = [0, 0];
    let mut lines = 0;
    for new in &mut readings {
        let mut elements: Vec<Element> = accuracy::events(bytes).into_iter().map(Element::Event).collect();
        lines = elements.len() as u64;
        let mut due = Vec::new();
        chain.push(&mut elements, &mut due);
        let is_new = |record: &Record| matches!(record, Record::Entry(event) if event.flags().has(Flags::NEW_TEMPLATE));
        *new = due.iter().filter(|due| is_new(&due.record)).count() as u64;
    }
    (lines, readings[0], readings[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_news_once() {
        let log = b"2024-01-15T10:00:00Z INFO cache is cold\n2024-01-15T10:00:01Z INFO took 5 ms\n\
                    2024-01-15T10:00:02Z INFO took 7 ms\n";
        assert_eq!(read_twice(log), (3, 2, 0));
    }
}
