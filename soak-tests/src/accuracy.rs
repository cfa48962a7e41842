//! Grouping accuracy of templates on logs with known answers, beside drain3 in the same run.
//!
//! A folder holds `NAME.log` and `NAME.truth.csv`, as LogHub (Zhu et al., ISSRE 2023) has them: a line of the table for
//! each line of the log, its last columns `EventId,EventTemplate`. Grouping accuracy (Zhu et al., ICSE-SEIP 2019) is the
//! share of lines whose group, as a set of lines, is exactly a group of the truth. Whole raw lines go in, and no system
//! has settings of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use clap::Args;
use logbraid_core::{Event, EventTime, Fields, PartitionId, Source};
use logbraid_operators::templates::{Limits, Miner};
use logbraid_parse::{Assembler, Framing, Parser, RawBatch, Settings};

/// Options of `accuracy`.
#[derive(Debug, Args)]
pub struct Options {
    /// The folder of logs and their answers.
    pub folder: PathBuf,
    /// The answers' file name after the log's: `.truth.csv`, `.corrected.csv`.
    #[arg(long, default_value = ".truth.csv")]
    pub answers: String,
    /// A Python interpreter that has drain3; it groups the same lines with its defaults.
    #[arg(long, value_name = "PYTHON")]
    pub drain3: Option<PathBuf>,
    /// Prints the groups that are not as in the truth.
    #[arg(long)]
    pub wrong: bool,
    /// Fails below this mean, 0 to 1.
    #[arg(long)]
    pub at_least: Option<f64>,
}

/// Whole lines in, a cluster's number out.
const DRAIN3: &str = "
import sys, logging
logging.disable(logging.CRITICAL)
from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig
miner = TemplateMiner(config=TemplateMinerConfig())
for line in sys.stdin.buffer:
    print(miner.add_log_message(line.decode('utf-8', 'replace').rstrip('\\r\\n'))['cluster_id'])
";

/// Prints a line for each log, and the mean. True when it is at least what was asked for.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let mut names: Vec<String> = Vec::new();
    for file in std::fs::read_dir(&options.folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "log")
            && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
        {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    let (mut mine, mut theirs, mut logs) = (0.0, 0.0, 0_u32);
    for name in names {
        let answers = options.folder.join(format!("{name}{}", options.answers));
        if !answers.exists() {
            continue;
        }
        let truth = truth(&answers)?;
        let bytes = std::fs::read(options.folder.join(format!("{name}.log")))?;
        let groups = grouped(&bytes, truth.len());
        let ids: Vec<String> = groups.iter().map(|(id, _)| id.clone()).collect();
        let accuracy = accuracy(&ids, &truth);
        mine += accuracy;
        logs += 1;
        write!(
            out,
            "{name:<12} logbraid {accuracy:.3}  templates {:>4}",
            ids.iter().collect::<BTreeSet<_>>().len()
        )?;
        if let Some(python) = &options.drain3 {
            let other = drain3(python, &bytes, truth.len())?;
            let accuracy = self::accuracy(&other, &truth);
            theirs += accuracy;
            write!(out, "  drain3 {accuracy:.3}")?;
        }
        writeln!(out, "  truth {}", truth.iter().collect::<BTreeSet<_>>().len())?;
        if options.wrong {
            wrong(&groups, &truth, out)?;
        }
    }
    let mean = |sum: f64| sum / f64::from(logs.max(1));
    write!(out, "mean         logbraid {:.4}", mean(mine))?;
    if options.drain3.is_some() {
        write!(out, "  drain3 {:.4}", mean(theirs))?;
    }
    writeln!(out, "  logs {logs}")?;
    Ok(logs > 0 && options.at_least.is_none_or(|least| mean(mine) >= least))
}

/// The group that the truth puts each line in.
fn truth(path: &Path) -> io::Result<Vec<String>> {
    let mut table = csv::Reader::from_path(path)?;
    let column = table.headers()?.iter().position(|name| name == "EventId");
    let column =
        column.ok_or_else(|| io::Error::other(format!("{} has no column `EventId`", path.display())))?;
    table.into_records().map(|row| Ok(row?.get(column).unwrap_or_default().to_owned())).collect()
}

/// The events of a log.
pub(crate) fn events(bytes: &[u8]) -> Vec<Event> {
    let Ok(compiled) = Settings::default().compile() else { return Vec::new() };
    let (compiled, fields) = (Arc::new(compiled), Fields::default());
    let source = Arc::new(Source::lines("app.log", PartitionId(0)));
    let ingest = EventTime::from_millis(1_705_312_800_000);
    let mut parser = Parser::new(Arc::clone(&compiled), &fields);
    let mut assembler = Assembler::new(&compiled, EventTime::MIN);
    let framing = Framing::Lines { offset: 0, line: 1 };
    let batch = parser.parse(RawBatch { source, bytes: bytes.to_vec(), framing, ingest });
    let mut events: Vec<Event> = Vec::new();
    assembler.push(batch, &mut events);
    assembler.flush(&mut events);
    events
}

/// The template of each line: parsed from the raw line, all in one pass, named as they are at its end.
fn grouped(bytes: &[u8], lines: usize) -> Vec<(String, String)> {
    let events = events(bytes);
    let mut miner = Miner::new(Limits::default());
    let mut ids = Vec::new();
    for event in &events {
        let seen = miner.add(event.message(), event.time());
        let id = miner.template(seen.template).map(|template| template.id).unwrap_or_default();
        ids.push((event.row().line, id));
    }
    let patterns: BTreeMap<_, _> =
        miner.templates().map(|template| (template.id, template.pattern.clone())).collect();
    let mut groups = vec![(String::new(), String::new()); lines];
    for (line, id) in ids {
        let id = miner.renamed(id);
        let at = usize::try_from(line).unwrap_or(0).saturating_sub(1);
        if let Some(group) = groups.get_mut(at) {
            *group = (id.to_string(), patterns.get(&id).cloned().unwrap_or_default());
        }
    }
    groups
}

fn drain3(python: &Path, bytes: &[u8], lines: usize) -> io::Result<Vec<String>> {
    let mut child = Command::new(python)
        .args(["-c", DRAIN3])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut input = child.stdin.take().ok_or_else(|| io::Error::other("python has no input"))?;
    let bytes = bytes.to_vec();
    let writing = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output()?;
    writing.join().map_err(|_| io::Error::other("the writer ended"))??;
    if !output.status.success() {
        return Err(io::Error::other("drain3 did not run; is it installed for this interpreter?"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().take(lines).map(str::to_owned).collect())
}

fn sets<'a>(groups: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, Vec<usize>> {
    let mut sets: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (line, group) in groups.enumerate() {
        sets.entry(group).or_default().push(line);
    }
    sets
}

/// The share of lines whose group is exactly a group of the truth.
fn accuracy(groups: &[String], truth: &[String]) -> f64 {
    let right: BTreeSet<Vec<usize>> = sets(truth.iter().map(String::as_str)).into_values().collect();
    let sets = sets(groups.iter().map(String::as_str));
    let hit: usize = sets.values().filter(|set| right.contains(*set)).map(Vec::len).sum();
    hit as f64 / truth.len().max(1) as f64
}

fn wrong(groups: &[(String, String)], truth: &[String], out: &mut dyn Write) -> io::Result<()> {
    let mine = sets(groups.iter().map(|(id, _)| id.as_str()));
    for (event, lines) in sets(truth.iter().map(String::as_str)) {
        let mut parts: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for line in &lines {
            if let Some((id, pattern)) = groups.get(*line) {
                let part = parts.entry(id.as_str()).or_insert((0, pattern.as_str()));
                part.0 += 1;
            }
        }
        let whole = parts.len() == 1 && parts.keys().all(|id| mine.get(id).is_some_and(|set| *set == lines));
        if !whole {
            writeln!(out, "  {event}: {} lines in {} templates", lines.len(), parts.len())?;
            for (id, (count, pattern)) in parts.iter().take(4) {
                let all = mine.get(id).map_or(0, Vec::len);
                let shown: String = pattern.chars().take(120).collect();
                writeln!(out, "      {count} of {all}: {shown}")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_counts_only_when_it_is_exactly_one_of_the_truth() {
        let names = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        assert!((accuracy(&names("aabb"), &names("xxyy")) - 1.0).abs() < 1e-9);
        assert!((accuracy(&names("aabc"), &names("xxyy")) - 0.5).abs() < 1e-9);
        assert!(accuracy(&names("aaaa"), &names("xxyy")) < 1e-9);
    }

    #[test]
    fn lines_of_one_kind_are_one_group_whatever_stands_around_them() {
        let log = "2024-01-15T10:00:00Z INFO user anna logged in after 3 tries\n\
                   2024-01-15T10:00:01Z INFO user ben logged in after 4 tries\n\
                   2024-01-15T10:00:02Z WARN cache is cold\n\
                   2024-01-15T10:00:03Z INFO user carl logged in after 1 tries\n";
        let ids: Vec<String> = grouped(log.as_bytes(), 4).into_iter().map(|(id, _)| id).collect();
        let truth: Vec<String> = ["a", "a", "b", "a"].map(str::to_owned).to_vec();
        assert!((accuracy(&ids, &truth) - 1.0).abs() < 1e-9, "{ids:?}");
    }
}
