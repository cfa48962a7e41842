//! The command line of the proving ground.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use logbraid_soak::bench::stream;
use logbraid_soak::generate::layout::Layout;
use logbraid_soak::generate::{Order, Workload, demo, entry};
use logbraid_soak::kafka::{rate, storm};
use logbraid_soak::report::write as report;
use logbraid_soak::{
    accuracy, alloc, crash, follow, fuzz, keep, latency, memory, scenarios, shippers, simulate, soak,
    templates, wal,
};

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

/// Workloads, benchmarks and long tests of logbraid.
#[derive(Parser)]
#[command(name = "logbraid-soak", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write generated logs.
    Generate(Generate),
    /// Measure how fast lines become records.
    Stream(stream::Options),
    /// Measure the article's nineteen scenarios, beside the batch tool in the same run.
    Scenarios(scenarios::Options),
    /// Measure memory: each operation in a process of its own, by the allocator's counter and by VmRSS.
    Memory(memory::Options),
    /// Measure how long a line takes to become a flushed record, at fixed rates.
    Latency(latency::Options),
    /// Run for long at a fixed rate, with kills, rotations, stalled readers and full disks, and judge.
    Soak(soak::Options),
    /// Write what was measured to docs/benchmarks.md, with charts.
    Report(report::Options),
    /// Feed parsers and decoders what a seeded mutator makes of a corpus: nothing may panic.
    Fuzz(fuzz::Options),
    /// Break a world from a seed, and compare with a calm one.
    Simulate(simulate::Options),
    /// Kill the binary at random points and start it again: no record lost, changed or invented.
    Crash(crash::Options),
    /// Send lines over HTTP while the binary is killed and started again: what was acknowledged is there.
    Wal(wal::Options),
    /// Send lines through a real shipper while the binary is killed and started again: what is lost is counted.
    Shippers(shippers::Options),
    /// Follow a file that is rotated and truncated: no line lost, none twice.
    Follow(follow::Options),
    /// Let a fleet read from real brokers while instances and brokers are killed: no record lost, changed or invented.
    Kafka(storm::Options),
    /// Compare templates with the answers of logs that have them.
    Accuracy(accuracy::Options),
    /// Pipe a long stream through `logbraid keep`, and judge what comes out.
    Keep(keep::Options),
    /// Measure what templates cost, and how often a log that is read again holds new ones.
    Templates(templates::Options),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// One file of entries without spans.
    Plain,
    /// One file of entries with spans.
    Spans,
    /// One file with spans and more errors.
    Errflow,
    /// One file per service, one request through all.
    Services,
    /// The entries of `plain` as text.
    Text,
    /// The shop of configs/demo.
    Demo,
}

#[derive(Args)]
struct Generate {
    /// What to write.
    #[arg(long, value_enum, default_value = "plain")]
    kind: Kind,
    /// How many entries; per service for `services`.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// How times follow each other.
    #[arg(long, value_enum, default_value = "stream")]
    order: Order,
    /// The format of lines [default: json, log4j for `text`].
    #[arg(long, value_enum)]
    format: Option<Layout>,
    /// Requests that are open at once.
    #[arg(long, default_value_t = 20)]
    open: u64,
    /// Entries of a request; 0: requests last as long as the file.
    #[arg(long, default_value_t = 0)]
    request_entries: u64,
    /// How far out of order times of `stream` are, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    jitter_ms: u64,
    /// How many services, 1 to 5.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=5))]
    services: u8,
    /// Decides every draw.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// A file, `-` for stdout, or a folder for `services` and `demo`.
    #[arg(long, default_value = "-")]
    out: PathBuf,
}

impl Generate {
    fn run(&self) -> io::Result<()> {
        let workload = Workload {
            entries: self.entries,
            order: self.order,
            error_permille: if self.kind == Kind::Errflow { 150 } else { 100 },
            spans: matches!(self.kind, Kind::Spans | Kind::Errflow),
            open: self.open.max(1),
            request_entries: self.request_entries,
            step_us: 0,
            jitter_us: self.jitter_ms.saturating_mul(1000),
            seed: self.seed,
        };
        let layout =
            self.format.unwrap_or(if self.kind == Kind::Text { Layout::Log4j } else { Layout::Json });
        let to_stdout = self.out.as_os_str() == "-";
        match self.kind {
            Kind::Demo if to_stdout => {
                let mut out = io::stdout().lock();
                demo::files(self.seed).iter().try_for_each(|file| out.write_all(file.text.as_bytes()))
            }
            Kind::Demo => demo::write(self.seed, &self.out),
            Kind::Services => {
                for (at, service) in entry::SERVICES.iter().enumerate().take(usize::from(self.services)) {
                    if to_stdout {
                        workload.write_service(at, layout, &mut io::stdout().lock())?;
                        continue;
                    }
                    std::fs::create_dir_all(&self.out)?;
                    let name = format!("ms{}_{}_{service}.jsonl", self.services, self.entries);
                    workload.write_service(at, layout, &mut File::create(self.out.join(name))?)?;
                }
                Ok(())
            }
            _ if to_stdout => workload.write(layout, &mut io::stdout().lock()).map(drop),
            _ => workload.write(layout, &mut BufWriter::new(File::create(&self.out)?)).map(drop),
        }
    }
}

fn main() -> ExitCode {
    let mut out = io::stdout();
    let done = match Cli::parse().command {
        Command::Generate(generate) => generate.run().map(|()| true),
        Command::Stream(options) => stream::run(&options),
        Command::Scenarios(options) => scenarios::run(&options, &mut out),
        Command::Memory(options) => memory::run(&options, &mut out),
        Command::Latency(options) => latency::run(&options, &mut out),
        Command::Soak(options) => soak::run(&options, &mut out),
        Command::Report(options) => report::run(&options, &mut out),
        Command::Fuzz(options) => fuzz::run(&options, &mut out),
        Command::Simulate(options) => simulate::run(&options, &mut out),
        Command::Crash(options) => crash::run(&options, &mut out),
        Command::Wal(options) => wal::run(&options, &mut out),
        Command::Shippers(options) => shippers::run(&options, &mut out),
        Command::Follow(options) => follow::run(&options, &mut out),
        Command::Kafka(options) if options.rate => rate::run(&options, &mut out),
        Command::Kafka(options) => storm::run(&options, &mut out),
        Command::Accuracy(options) => accuracy::run(&options, &mut out),
        Command::Keep(options) => keep::run(&options, &mut out),
        Command::Templates(options) => templates::run(&options, &mut out),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // What was promised does not hold.
        Ok(false) => ExitCode::FAILURE,
        // Whoever read the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}
