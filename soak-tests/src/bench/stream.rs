//! The stream's benchmark: how fast lines become records, beside a bare parse of the same lines in the same run.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::table::{Table, mb_per_s, mib, million_per_s, ns_per_line};
use super::{bare, stages};
use crate::generate::Workload;
use crate::generate::layout::Layout;
use crate::process::{self, Measured};
use crate::report::page;
use crate::stopwatch::{Stopwatch, median};

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Lines of the main workload.
    #[arg(long, default_value_t = 1_000_000)]
    pub entries: u64,
    /// How often each figure is taken; the median counts.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Also with ten times as many lines.
    #[arg(long)]
    pub long: bool,
    /// Only the bare parse, the whole process and the stages.
    #[arg(long)]
    pub short: bool,
    /// Write the report to docs/benchmarks.md too.
    #[arg(long)]
    pub write: bool,
    /// The binary [default: beside this program].
    #[arg(long)]
    pub binary: Option<PathBuf>,
}

struct Bench<'a> {
    options: &'a Options,
    binary: PathBuf,
    folder: tempfile::TempDir,
    report: String,
}

/// One thing measured several times.
struct Figure {
    lines: u64,
    bytes: u64,
    wall_s: f64,
    spread: f64,
    cpu_s: f64,
    rss_peak_bytes: u64,
}

impl Figure {
    fn of(lines: u64, bytes: u64, runs: &[Measured]) -> Self {
        let mut walls: Vec<f64> = runs.iter().map(|run| run.wall_s).collect();
        let mut cpus: Vec<f64> = runs.iter().map(|run| run.cpu_s).collect();
        let (fastest, slowest) =
            walls.iter().fold((f64::MAX, 0.0_f64), |(low, high), wall| (low.min(*wall), high.max(*wall)));
        let wall_s = median(&mut walls);
        Self {
            lines,
            bytes,
            wall_s,
            spread: (slowest - fastest) / wall_s,
            cpu_s: median(&mut cpus),
            rss_peak_bytes: runs.iter().map(|run| run.rss_peak_bytes).max().unwrap_or(0),
        }
    }
    fn lines_per_s(&self) -> f64 {
        self.lines as f64 / self.wall_s
    }
    fn cells(&self, what: &str, bare_lines_per_s: f64) -> Vec<String> {
        vec![
            what.to_owned(),
            million_per_s(self.lines, self.wall_s),
            mb_per_s(self.bytes, self.wall_s),
            ns_per_line(self.lines, self.wall_s),
            format!("{:.2}", self.lines_per_s() / bare_lines_per_s),
            format!("{:.2}", self.cpu_s),
            mib(self.rss_peak_bytes),
            format!("{:.0} %", self.spread * 100.0),
        ]
    }
}

const HEAD: [&str; 8] =
    ["what", "M lines/s", "MB/s", "ns/line", "ratio to bare", "CPU s", "peak RSS MiB", "spread"];

impl Bench<'_> {
    fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")?;
        self.report.push_str(text);
        self.report.push('\n');
        Ok(())
    }

    fn generate(&self, name: &str, workload: Workload, layout: Layout) -> io::Result<(PathBuf, u64)> {
        let path = self.folder.path().join(name);
        let bytes = workload.write(layout, &mut File::create(&path)?)?;
        Ok((path, bytes))
    }

    fn logbraid(&self, file: &Path) -> io::Result<Measured> {
        let run = process::measure(Command::new(&self.binary).arg(file).args(["--output", "ndjson"]))?;
        if run.status.success() {
            Ok(run)
        } else {
            Err(io::Error::other(format!("logbraid: {}", run.status)))
        }
    }

    /// Measures the whole process on a workload, the first run discarded.
    fn process(&self, name: &str, workload: Workload, layout: Layout) -> io::Result<Figure> {
        let (path, bytes) = self.generate(name, workload, layout)?;
        self.logbraid(&path)?;
        let runs =
            (0..self.options.rounds).map(|_| self.logbraid(&path)).collect::<io::Result<Vec<Measured>>>()?;
        std::fs::remove_file(path)?;
        Ok(Figure::of(workload.entries, bytes, &runs))
    }

    fn yardstick(name: &str, arguments: &[&str], file: &Path) -> io::Result<Option<Measured>> {
        if !process::installed(name) {
            return Ok(None);
        }
        // To a file: grep stops at the first match when it sees that nobody reads.
        let out = File::create(file.with_extension("out"))?;
        process::measure_into(Command::new(name).args(arguments).arg(file), out.into()).map(Some)
    }

    fn run(&mut self) -> io::Result<()> {
        let rounds = self.options.rounds;
        let workload = Workload { entries: self.options.entries, ..Workload::default() };
        let short = Workload { open: 200, request_entries: 20, ..workload };
        let (file, bytes) = self.generate("plain.jsonl", workload, Layout::Json)?;
        let (short_file, short_bytes) = self.generate("short.jsonl", short, Layout::Json)?;
        let text = std::fs::read(&file)?;

        self.say(&format!("{}\n", machine()))?;
        self.say(&format!(
            "Workload: {} JSON lines, {:.0} MB, seed {}, in order with up to 1 s of jitter. Medians of {rounds} \
             rounds, taken in turns; records to /dev/null; *spread* is (slowest − fastest) / median.\n",
            workload.entries,
            bytes as f64 / 1e6,
            workload.seed,
        ))?;

        // In turns, so that whatever else the machine does hits all alike.
        let (mut bares, mut plains, mut shorts) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=rounds {
            let watch = Stopwatch::start();
            let counted = bare::parse(&text);
            let wall_s = watch.seconds();
            std::hint::black_box(counted);
            let plain = self.logbraid(&file)?;
            let short = self.logbraid(&short_file)?;
            // The first round warms caches up.
            if round > 0 {
                bares.push(Measured { wall_s, cpu_s: wall_s, rss_peak_bytes: 0, ..plain });
                plains.push(plain);
                shorts.push(short);
            }
        }
        let bare = Figure::of(workload.entries, bytes, &bares);
        let plain = Figure::of(workload.entries, bytes, &plains);
        let short = Figure::of(workload.entries, short_bytes, &shorts);
        let bare_rate = bare.lines_per_s();
        let mut table = Table::new(&HEAD);
        table.row(bare.cells("bare sonic-rs parse, one core, in memory", bare_rate));
        table.row(plain.cells("logbraid, 20 requests through the file", bare_rate));
        table.row(short.cells("logbraid, requests of 20 lines, 200 open", bare_rate));
        for (name, arguments) in
            [("jq", &["-c", "select(.level==\"ERROR\")"][..]), ("grep", &["\"level\": \"ERROR\""][..])]
        {
            if let Some(run) = Self::yardstick(name, arguments, &file)? {
                let figure = Figure::of(workload.entries, bytes, &[run]);
                table.row(figure.cells(&format!("{name}, filtering only, once"), bare_rate));
            }
        }
        self.say("### The whole process\n")?;
        self.say(&table.markdown())?;

        self.say("### By stage, one thread: 20 requests through the file\n")?;
        self.say(&stages::table(&text, rounds)?)?;
        drop(text);
        self.say("### By stage, one thread: requests of 20 lines, 200 open\n")?;
        self.say(&stages::table(&std::fs::read(&short_file)?, rounds)?)?;
        if self.options.short {
            return Ok(());
        }

        let fifth = Workload { entries: workload.entries / 5, ..short_workload(workload) };
        let mut table = Table::new(&HEAD);
        let mut json = 1.0;
        for layout in Layout::ALL {
            let figure = self.process(layout.name(), fifth, layout)?;
            if layout == Layout::Json {
                json = figure.lines_per_s();
            }
            let name = format!("{}, {:.2} of JSON", layout.name(), figure.lines_per_s() / json);
            table.row(figure.cells(&name, bare_rate));
        }
        self.say(&format!("### By format, {} lines, requests of 20 lines\n", fifth.entries))?;
        self.say(&table.markdown())?;

        let mut table = Table::new(&HEAD);
        let mut sizes = vec![workload.entries / 10, workload.entries];
        if self.options.long {
            sizes.push(workload.entries * 10);
        }
        for entries in sizes {
            let figure =
                self.process("size", Workload { entries, ..short_workload(workload) }, Layout::Json)?;
            table.row(figure.cells(&format!("{entries} lines"), bare_rate));
        }
        self.say("### Cost per line by length, requests of 20 lines\n")?;
        self.say(&table.markdown())?;

        let mut table = Table::new(&HEAD);
        for open in [1_000, 10_000, 100_000] {
            let workload = Workload { open, request_entries: 10, ..workload };
            let figure = self.process("open", workload, Layout::Json)?;
            table.row(figure.cells(&format!("{open} open requests of 10 lines"), bare_rate));
        }
        self.say("### Open requests\n")?;
        self.say(&table.markdown())
    }
}

const fn short_workload(workload: Workload) -> Workload {
    Workload { open: 200, request_entries: 20, ..workload }
}

/// The processor and its cores.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("Machine: {model}, {cores} cores. logbraid {}.", env!("CARGO_PKG_VERSION"))
}

/// Runs the benchmark and prints its report.
pub fn run(options: &Options) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    let folder = tempfile::tempdir()?;
    let mut bench = Bench { options, binary, folder, report: String::new() };
    bench.run()?;
    if options.write {
        let head = "## Stream\n\nWritten by `cargo run --release -p logbraid-soak -- stream --write`. Figures are ratios taken \
                    in one run.\n\n";
        page::write(Path::new("docs/benchmarks.md"), "stream", &format!("{head}{}", bench.report))?;
    }
    Ok(true)
}
