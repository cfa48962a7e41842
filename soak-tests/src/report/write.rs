//! Turns kept figures into the page and its charts, and compares them with older ones.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::chart::{Bars, COLOURS, Chart, Lines};
use super::page;
use super::stats::{Confidence, ms, times};
use crate::bench::table::Table;
use crate::latency::Latency;
use crate::memory::Memory;
use crate::memory::operation::Operation;
use crate::scenarios::row::{Row, Scenarios, ratio};
use crate::soak::Soak;

/// What to write.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  logbraid-soak report                                  the page and the charts, from everything that was measured
  logbraid-soak report --compare before.json            and what changed since older figures of `scenarios`
Each part of the page stands between markers; parts that were not measured stay as they are.")]
pub struct Options {
    /// Where the figures are.
    #[arg(long, default_value = "target/prove", value_name = "FOLDER")]
    pub from: PathBuf,
    /// The page.
    #[arg(long, default_value = "docs/benchmarks.md", value_name = "FILE")]
    pub page: PathBuf,
    /// Where charts go; beside the page, so that it can show them.
    #[arg(long, default_value = "docs/charts", value_name = "FOLDER")]
    pub charts: PathBuf,
    /// Older figures of `scenarios`, to compare with.
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
}

fn figures<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| io::Error::other(format!("'{}': {error}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the page; true when there was anything to write.
///
/// # Errors
/// When figures cannot be read, or the page or a chart cannot be written.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let mut written = Vec::new();
    let part = |name: &'static str, text: &str, written: &mut Vec<&'static str>| {
        written.push(name);
        page::write(&options.page, name, text)
    };
    let picture = |name: &str, what: &str| format!("\n![{what}](charts/{name}.png)\n");
    if let Some(scenarios) = figures::<Scenarios>(&options.from.join("scenarios.json"))? {
        let mut text = scenarios.markdown();
        if let Some(chart) = speedups(&scenarios) {
            chart.write(&options.charts, "scenarios")?;
            text.push_str(&picture(
                "scenarios",
                "how many times the batch tool's time, by scenario at 50 K entries",
            ));
        }
        if let Some(chart) = scaling(&scenarios) {
            chart.write(&options.charts, "scaling")?;
            text.push_str(&picture("scaling", "milliseconds by number of entries, both sides"));
        }
        part("scenarios", &text, &mut written)?;
        if let Some(old) = &options.compare {
            let old: Scenarios = figures(old)?.ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("'{}' is missing", old.display()))
            })?;
            let text = changes(&old, &scenarios);
            writeln!(out, "{text}")?;
            part("changes", &text, &mut written)?;
        }
    }
    // Taken by themselves, because they take long: `scenarios --least 1000000 --json FOLDER/scenarios-large.json`.
    if let Some(large) = figures::<Scenarios>(&options.from.join("scenarios-large.json"))? {
        let text = large.markdown().replacen("nineteen scenarios", "scenarios at a million entries", 1);
        part("scenarios-large", &text, &mut written)?;
    }
    if let Some(memory) = figures::<Memory>(&options.from.join("memory.json"))? {
        let mut text = memory.markdown();
        if let Some(chart) = growth(&memory) {
            chart.write(&options.charts, "memory")?;
            text.push_str(&picture("memory", "megabytes that a process grows by, by number of entries"));
        }
        part("memory", &text, &mut written)?;
    }
    if let Some(latency) = figures::<Latency>(&options.from.join("latency.json"))? {
        percentiles(&latency).write(&options.charts, "latency")?;
        let text =
            latency.markdown() + &picture("latency", "milliseconds by percentile, a line for each rate");
        part("latency", &text, &mut written)?;
    }
    if let Some(soak) = figures::<Soak>(&options.from.join("soak.json"))? {
        resident(&soak).write(&options.charts, "soak")?;
        let text = soak.markdown()
            + &picture("soak", "resident megabytes of the instance that was left alone, over time");
        part("soak", &text, &mut written)?;
    }
    if written.is_empty() {
        writeln!(
            out,
            "no figures in '{}'; measure first, such as with `scenarios --quick`",
            options.from.display()
        )?;
        return Ok(false);
    }
    writeln!(out, "{}: {}", options.page.display(), written.join(", "))?;
    Ok(true)
}

fn colour(confidence: Confidence) -> plotters::style::RGBColor {
    match confidence {
        Confidence::Definitive => COLOURS[0],
        Confidence::Probable => COLOURS[4],
        Confidence::Noise => COLOURS[5],
    }
}

/// How many times faster, at 50 K entries or what comes nearest; warm where there is warm.
fn speedups(scenarios: &Scenarios) -> Option<Chart> {
    let mut bars: Vec<(String, f64, String, plotters::style::RGBColor)> = Vec::new();
    for row in scenarios.rows.iter().filter(|row| row.entries <= 50_000) {
        let larger = |other: &&Row| {
            other.number == row.number
                && other.entries > row.entries
                && other.entries <= 50_000
                && other.param.contains('@') == row.param.contains('@')
        };
        if scenarios.rows.iter().any(|other| larger(&other)) || row.number == 11 {
            continue;
        }
        let (found, cold) = (row.warm(), row.warm().is_none());
        let Some((times_faster, confidence)) = found.or_else(|| row.cold()) else { continue };
        let name = format!("{} {}{}", row.name, row.param, if cold { ", cold" } else { "" });
        bars.push((name, times_faster, times(times_faster), colour(confidence)));
    }
    bars.sort_by(|a, b| b.1.total_cmp(&a.1));
    (!bars.is_empty()).then(|| {
        Chart::Bars(Bars {
            title: "Time of the batch tool / our time, the same question warm on both sides".to_owned(),
            axis: "times".to_owned(),
            bars,
            mark: Some((10.0, "target: 10×".to_owned())),
            legend: [Confidence::Definitive, Confidence::Probable, Confidence::Noise]
                .map(|confidence| (confidence.name().to_owned(), colour(confidence)))
                .to_vec(),
        })
    })
}

/// Milliseconds by entries, of scenarios that are asked at several scales.
fn scaling(scenarios: &Scenarios) -> Option<Chart> {
    let mut lines = Vec::new();
    for (name, short) in
        [("search_scaling", "search"), ("hierarchy_building", "hierarchy"), ("sampling_scaling", "sample")]
    {
        for (who, of) in [("ours", true), ("batch tool", false)] {
            let points: Vec<(f64, f64)> = scenarios
                .rows
                .iter()
                .filter(|row| row.name == name && !row.param.contains('@'))
                .filter_map(|row| {
                    let summary = if of { row.ours.as_ref() } else { row.theirs.as_ref() };
                    Some((row.entries as f64, summary?.median))
                })
                .collect();
            if points.len() > 1 {
                lines.push((format!("{short}, {who}"), points));
            }
        }
    }
    (!lines.is_empty()).then(|| {
        Chart::Lines(Lines {
            title: "Time of an answer by number of entries, warm".to_owned(),
            axes: ("entries".to_owned(), "ms".to_owned()),
            lines,
            ticks: Vec::new(),
            log_x: true,
            log_y: true,
        })
    })
}

fn growth(memory: &Memory) -> Option<Chart> {
    let of = |operation: Operation, value: &dyn Fn(&crate::memory::Row) -> Option<f64>| {
        let rows = memory.rows.iter().filter(|row| row.operation == operation);
        rows.filter_map(|row| Some((row.entries as f64, value(row)?.max(0.1)))).collect::<Vec<_>>()
    };
    let grown = |(before, after): (u64, u64)| (after as f64 - before as f64) / 1e6;
    let ours = |row: &crate::memory::Row| Some(grown(row.ours.rss));
    let theirs = |row: &crate::memory::Row| row.theirs.map(|theirs| grown(theirs.rss));
    let mut lines = vec![
        ("search, batch tool".to_owned(), of(Operation::SearchBroad, &theirs)),
        ("search, ours".to_owned(), of(Operation::SearchBroad, &ours)),
        ("stream's index, ours".to_owned(), of(Operation::LoadStream, &ours)),
        ("db_to_jsonl, batch tool".to_owned(), of(Operation::DbToJsonl, &theirs)),
        ("db_to_jsonl, ours".to_owned(), of(Operation::DbToJsonl, &ours)),
    ];
    lines.retain(|(_, points)| points.len() > 1);
    (!lines.is_empty()).then(|| {
        Chart::Lines(Lines {
            title: "What a process grows by (VmRSS), reading included".to_owned(),
            axes: ("entries".to_owned(), "MB".to_owned()),
            lines,
            ticks: Vec::new(),
            log_x: true,
            log_y: true,
        })
    })
}

/// Percentiles with the far end drawn out: each nine takes the same room.
fn percentiles(latency: &Latency) -> Chart {
    let place = |share: f64| -((100.0 - share.min(99.995)) / 100.0).log10();
    let lines = latency
        .rates
        .iter()
        .map(|rate| {
            let points = rate.from_line.points.iter().filter(|(share, _)| *share >= 10.0);
            let points = points.map(|(share, us)| (place(*share), (*us as f64 / 1000.0).max(0.01))).collect();
            (format!("{} ({:.0}/s)", rate.name, rate.offered), points)
        })
        .collect();
    let ticks = [10.0, 50.0, 90.0, 99.0, 99.9, 99.99]
        .into_iter()
        .map(|share| (place(share), format!("{share} %")))
        .collect();
    Chart::Lines(Lines {
        title: "From a line's moment to its flushed record".to_owned(),
        axes: ("of all records".to_owned(), "ms, at most".to_owned()),
        lines,
        ticks,
        log_x: false,
        log_y: true,
    })
}

fn resident(soak: &Soak) -> Chart {
    let points = soak.rss.iter().map(|(seconds, bytes)| (*seconds, *bytes as f64 / 1e6)).collect();
    Chart::Lines(Lines {
        title: format!("Resident memory at {} lines/s", soak.offered.1),
        axes: ("seconds".to_owned(), "MB".to_owned()),
        lines: vec![("the steady instance".to_owned(), points)],
        ticks: Vec::new(),
        log_x: false,
        log_y: false,
    })
}

/// What changed since older figures, as the article compares its rounds.
fn changes(old: &Scenarios, new: &Scenarios) -> String {
    let mut out = format!(
        "## Changes since {}\n\nOur own times, warm or else cold; above 1 is faster than before. Rows that are noise are left \
         out; two runs on a machine that others use differ for more reasons than the program.\n\n",
        old.machine.date
    );
    let mut table = Table::new(&["scenario", "at", "before", "now", "before / now", "confidence"]);
    let (mut faster, mut slower, mut noise) = (0, 0, 0);
    for row in &new.rows {
        let before = old.rows.iter().find(|other| (&other.name, &other.param) == (&row.name, &row.param));
        let Some(before) = before else { continue };
        let (was, is) = match (&before.ours, &row.ours) {
            (Some(was), Some(is)) => (was, is),
            _ => match (&before.ours_cold, &row.ours_cold) {
                (Some(was), Some(is)) => (was, is),
                _ => continue,
            },
        };
        let Some((change, confidence)) = ratio(Some(is), Some(was)) else { continue };
        if confidence == Confidence::Noise {
            noise += 1;
            continue;
        }
        if change > 1.0 {
            faster += 1;
        } else {
            slower += 1;
        }
        table.row([
            format!("{} {}", row.number, row.name),
            row.param.clone(),
            ms(was.median),
            ms(is.median),
            times(change),
            confidence.name().to_owned(),
        ]);
    }
    out.push_str(&format!("{faster} faster, {slower} slower, {noise} noise.\n\n"));
    out.push_str(&table.markdown());
    out
}
