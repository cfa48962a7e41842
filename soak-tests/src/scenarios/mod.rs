//! The article's nineteen scenarios, through our library (warm) and our binary (cold), beside the batch tool in the same
//! run: first the answers are compared, then both sides are timed in turns.

pub mod case;
pub mod cold;
pub mod data;
pub mod forest;
pub mod ours;
pub mod row;
pub mod side;
pub mod theirs;
pub mod truth;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use logbraid_query::Window;
use serde_json::{Map, Value};

use self::case::{Call, Case};
use self::data::{Data, Kind};
use self::row::{Row, Scenarios, differences, known};
use self::side::Side;
use self::theirs::{Reply, Tool, Worker};
use self::truth::Truth;
use crate::process;
use crate::report::machine::Machine;
use crate::report::stats::{Summary, ms};
use crate::stopwatch::Stopwatch;

/// What to measure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  logbraid-soak scenarios                        every scenario at 1 K, 10 K, 50 K and 1 M entries, about 20 minutes
  logbraid-soak scenarios --quick                up to 10 K entries, about 2 minutes
  logbraid-soak scenarios --only hierarchy       one suite or one scenario
  logbraid-soak scenarios --least 1000000 --json target/prove/scenarios-large.json
                                                 the largest alone; `report` gives them a part of their own
  logbraid-soak report                           writes what was measured to docs/benchmarks.md")]
pub struct Options {
    /// Counted rounds, after one that is discarded.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Counted rounds of whole processes; 0 leaves them out.
    #[arg(long, default_value_t = 5)]
    pub cold_rounds: u32,
    /// The smallest scale, in entries.
    #[arg(long, default_value_t = 0)]
    pub least: u64,
    /// The largest scale, in entries.
    #[arg(long, default_value_t = 1_000_000)]
    pub most: u64,
    /// The largest scale at which the batch tool is measured; beyond it, only we are.
    #[arg(long, default_value_t = 1_000_000)]
    pub theirs_most: u64,
    /// Scales up to 10 K entries, and 3 rounds of processes.
    #[arg(long)]
    pub quick: bool,
    /// Only scenarios whose suite, name or number this is.
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// Leave the batch tool out.
    #[arg(long)]
    pub alone: bool,
    /// Seconds after which a call of the batch tool is ended.
    #[arg(long, default_value_t = 60)]
    pub patience: u64,
    /// Where the batch tool is installed [default: `batch-tool` beside this program's folder].
    #[arg(long, value_name = "FOLDER")]
    pub tool: Option<PathBuf>,
    /// Where the figures go.
    #[arg(long, default_value = "target/prove/scenarios.json", value_name = "FILE")]
    pub json: PathBuf,
    /// The binary [default: beside this program].
    #[arg(long)]
    pub binary: Option<PathBuf>,
}

struct Bench<'a> {
    options: &'a Options,
    binary: PathBuf,
    data: Data,
    tool: Option<Tool>,
    done: Scenarios,
}

/// Where the batch tool is installed when nothing else is said.
///
/// # Errors
/// When this program does not know where it is.
pub fn tool_folder(given: Option<&Path>) -> io::Result<PathBuf> {
    if let Some(folder) = given {
        return Ok(folder.to_owned());
    }
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).unwrap_or(Path::new("target"));
    Ok(target.join("batch-tool"))
}

/// Measures, prints and keeps the figures; true when every answer of ours is right.
///
/// # Errors
/// When the binary is missing, a file cannot be written, or a question cannot be answered.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    let (tool, skipped) = if options.alone {
        (None, Some("by `--alone`".to_owned()))
    } else {
        match Tool::ready(&tool_folder(options.tool.as_deref())?) {
            Ok(tool) => (Some(tool), None),
            Err(why) => (None, Some(why)),
        }
    };
    if let Some(why) = &skipped {
        writeln!(out, "skipped: {} ({why})", theirs::RELEASE)?;
    }
    let done = Scenarios {
        machine: Machine::here(),
        rounds: options.rounds,
        cold_rounds: if options.quick { options.cold_rounds.min(3) } else { options.cold_rounds },
        patience_s: options.patience,
        skipped,
        rows: Vec::new(),
    };
    let mut bench = Bench { options, binary, data: Data::new()?, tool, done };
    let most = if options.quick { options.most.min(10_000) } else { options.most };
    let mut cases = case::all(most);
    cases.retain(|case| case.entries >= options.least);
    if let Some(only) = &options.only {
        cases.retain(|case| case.suite == only || case.name == only || case.number.to_string() == *only);
        if cases.is_empty() {
            let message = format!("no scenario, suite or number is `{only}`; try `--only search`");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    }
    // One file at a time is held; small ones first, so that what takes long comes last.
    let mut sets: Vec<(u64, Kind)> = cases.iter().map(|case| (case.entries, case.kind)).collect();
    sets.sort_unstable();
    sets.dedup();
    for (entries, kind) in sets {
        let of = |case: &&Case| (case.entries, case.kind) == (entries, kind);
        bench.set(kind, entries, &cases.iter().filter(of).collect::<Vec<_>>(), out)?;
        bench.data.forget(kind, entries);
    }
    let Bench { mut done, .. } = bench;
    done.machine = done.machine.ended();
    done.rows.sort_by_key(|row| cases.iter().position(|case| is_row_of(row, case)));
    if let Some(folder) = options.json.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&options.json, serde_json::to_vec_pretty(&done)?)?;
    writeln!(out, "\n{}", done.markdown())?;
    writeln!(out, "figures: {}", options.json.display())?;
    Ok(done.rows.iter().all(|row| row.ours_wrong.is_empty()))
}

fn is_row_of(row: &Row, case: &Case) -> bool {
    (row.number, &row.param, row.name.as_str()) == (case.number, &case.param, case.name)
}

impl Bench<'_> {
    /// Every scenario about one set of files.
    fn set(&mut self, kind: Kind, entries: u64, cases: &[&Case], out: &mut dyn Write) -> io::Result<()> {
        let files = self.data.files(kind, entries)?;
        let truth = if kind == Kind::Jobs { Truth::default() } else { Truth::read(&files)? };
        let failed = if kind == Kind::Jobs { jobs_failed(&files).map_err(io::Error::other)? } else { 0 };
        let watch = Stopwatch::start();
        let window = if kind == Kind::Jobs { None } else { Some(ours::window(&files)?) };
        writeln!(out, "{kind:?}, {entries} entries: window in {:.2} s", watch.seconds())?;
        for case in cases {
            let mut row = Row::new(case);
            let right = case.expected(&truth, failed);
            row.compared = right.keys().cloned().collect();
            row.notes.extend(case.unlike().map(str::to_owned));
            self.warm(case, window.as_ref(), &files, &truth, &right, &mut row)?;
            self.cold(case, &files, &truth, &mut row)?;
            if !row.theirs_wrong.is_empty() {
                row.theirs_wrong.extend(known(case.call).map(|why| format!("known: {why}")));
            }
            let show = |of: &Option<Summary>| of.as_ref().map_or_else(|| "-".to_owned(), |of| ms(of.median));
            writeln!(
                out,
                "{:>2} {:<26} {:<22} warm {:>8} / {:>8} ms   cold {:>8} / {:>8} ms   {}",
                row.number,
                row.name,
                row.param,
                show(&row.ours),
                show(&row.theirs),
                show(&row.ours_cold),
                show(&row.theirs_cold),
                row.ours_wrong.iter().map(|why| format!("WRONG: {why}")).collect::<Vec<_>>().join("; "),
            )?;
            self.done.rows.push(row);
        }
        Ok(())
    }

    fn worker(&self, case: &Case) -> io::Result<Option<Worker>> {
        match &self.tool {
            Some(tool) if !case.is_process() && case.entries <= self.options.theirs_most => {
                tool.start().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Both sides in one process each, in turns.
    fn warm(
        &self,
        case: &Case,
        window: Option<&Window>,
        files: &[(String, PathBuf)],
        truth: &Truth,
        right: &Map<String, Value>,
        row: &mut Row,
    ) -> io::Result<()> {
        let Some(side) = Side::new(case, window, files, truth, self.data.scratch("out.jsonl"))? else {
            return Ok(());
        };
        let request = case.theirs(files, truth);
        let mut worker = self.worker(case)?;
        let patience = Duration::from_secs(self.options.patience);
        let call = |worker: &mut Worker| match &request {
            Some(request) => worker.call(request, patience),
            None => Ok(Reply::Failed("has no such call".to_owned())),
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut theirs_rounds = self.options.rounds;
        for round in 0..=self.options.rounds {
            let (ms, said) = side.run()?;
            if round == 0 {
                row.ours_wrong = differences(&said, right);
            } else {
                ours.push(ms);
            }
            if round > theirs_rounds {
                continue;
            }
            let Some(one) = worker.as_mut() else { continue };
            match call(one)? {
                Reply::Done(ms, said) if round == 0 => {
                    row.theirs_wrong = differences(said.as_object().unwrap_or(&Map::new()), right);
                    if ms > 3000.0 {
                        theirs_rounds = theirs_rounds.min(3);
                    }
                }
                Reply::Done(ms, _) => theirs.push(ms),
                Reply::Failed(why) => {
                    row.notes.push(format!("the batch tool: {why}"));
                    worker = None;
                }
            }
        }
        row.ours = Summary::of(ours);
        row.theirs = Summary::of(theirs);
        Ok(())
    }

    /// Whole processes, in turns.
    fn cold(&self, case: &Case, files: &[(String, PathBuf)], truth: &Truth, row: &mut Row) -> io::Result<()> {
        // Scenarios that differ only in how memory is looked at have the processes of their twins.
        if matches!(case.number, 11 | 16 | 19) {
            return Ok(());
        }
        let patience = Duration::from_secs(self.options.patience);
        let ours_words = case.cold(files, truth);
        let request = case.theirs(files, truth);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut theirs_rounds = self.done.cold_rounds;
        let failed_before = row.notes.iter().any(|note| note.contains("killed"));
        for round in 0..=self.done.cold_rounds {
            if self.done.cold_rounds == 0 {
                break;
            }
            if let Some(words) = &ours_words {
                match cold::run(std::process::Command::new(&self.binary).args(words), patience)? {
                    Some(ms) if round > 0 => ours.push(ms),
                    Some(_) => {}
                    None => return Err(io::Error::other(format!("logbraid {} failed", words.join(" ")))),
                }
            }
            if round > theirs_rounds || case.entries > self.options.theirs_most || failed_before {
                continue;
            }
            let Some(tool) = &self.tool else { continue };
            let mut command = match (case.call, &request) {
                (Call::MaxBytes(bytes), _) => {
                    let mut command = tool.command_line();
                    command.args(["llm", "search"]).args(files.iter().map(|(_, path)| path));
                    command.args(["--level", "ERROR", "--max-bytes", &bytes.to_string()]);
                    command
                }
                (_, Some(request)) => tool.once(request, false),
                (_, None) => continue,
            };
            match cold::run(&mut command, patience)? {
                // What takes long is timed once, its first time: no round is thrown away.
                Some(ms) if round == 0 && ms > 10_000.0 => {
                    theirs.push(ms);
                    theirs_rounds = 0;
                }
                Some(_) if round == 0 => {}
                Some(ms) => theirs.push(ms),
                None => {
                    row.notes.push(format!(
                        "the batch tool's process failed or was killed after {} s",
                        patience.as_secs()
                    ));
                    theirs_rounds = 0;
                }
            }
        }
        row.ours_cold = Summary::of(ours);
        row.theirs_cold = Summary::of(theirs);
        Ok(())
    }
}

fn jobs_failed(files: &[(String, PathBuf)]) -> rusqlite::Result<u64> {
    let mut failed = 0;
    for (_, path) in files {
        let database = rusqlite::Connection::open(path)?;
        let count =
            database.query_row("SELECT count(*) FROM qler_jobs WHERE status = 'failed'", [], |row| {
                row.get::<_, i64>(0)
            })?;
        failed += u64::try_from(count).unwrap_or(0);
    }
    Ok(failed)
}
