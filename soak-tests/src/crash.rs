//! Kills the real binary at random points and starts it again, until its work is done; then judges what it wrote.
//!
//! A kill keeps what was written to files and loses everything else: what had been read, held open, or written but not
//! yet noted in the checkpoint.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::generate::Workload;
use crate::generate::layout::Layout;
use crate::generate::random::Random;
use crate::judge::Calm;
use crate::process;
use crate::stopwatch::Stopwatch;

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How often to kill.
    #[arg(long, default_value_t = 20)]
    pub kills: u32,
    /// Lines in each of three files.
    #[arg(long, default_value_t = 100_000)]
    pub entries: u64,
    /// Decides when to kill.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Also compare every single entry, not only what was made of them.
    #[arg(long)]
    pub with_entries: bool,
    /// Seconds after which to give up.
    #[arg(long, default_value_t = 600)]
    pub patience: u64,
    /// The binary [default: beside this program].
    #[arg(long)]
    pub binary: Option<PathBuf>,
}

const FILES: u64 = 3;

/// One run of the binary over the files in `input`, with its own output and checkpoint in `folder`.
struct World<'a> {
    binary: &'a Path,
    folder: PathBuf,
}

impl<'a> World<'a> {
    fn new(binary: &'a Path, folder: PathBuf, input: &Path, with_entries: bool) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let entries = if with_entries { ", entries" } else { "" };
        let (input, folder_name) = (input.display(), folder.display());
        let config = format!(
            "checkpoint: '{folder_name}/checkpoint'\n\
             sources:\n  - files: {{ paths: ['{input}/*.jsonl'], follow: false }}\n\
             time: {{ max_delay: 2s, allowed_lateness: 30s }}\n\
             sinks:\n  - file: {{ path: '{folder_name}/out.ndjson', \
             take: [timelines, findings, rejects, late{entries}] }}\n"
        );
        fs::write(folder.join("run.yaml"), config)?;
        Ok(Self { binary, folder })
    }

    fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(self.binary);
        let errors = File::options().create(true).append(true).open(self.folder.join("stderr"))?;
        command.arg("run").arg("-c").arg(self.folder.join("run.yaml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        Ok(command)
    }

    fn output(&self) -> io::Result<String> {
        let mut text = String::new();
        let mut paths: Vec<PathBuf> =
            fs::read_dir(&self.folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("out") {
                text.push_str(&String::from_utf8_lossy(&fs::read(path)?));
            }
        }
        Ok(text)
    }

    fn failed(&self, status: std::process::ExitStatus) -> io::Error {
        let errors = fs::read_to_string(self.folder.join("stderr")).unwrap_or_default();
        io::Error::other(format!("logbraid ended with {status}: {errors}"))
    }
}

/// Runs the test; true when every record of the calm run is there, and repeated ones are identical.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    let folder = tempfile::tempdir()?;
    let input = folder.path().join("in");
    fs::create_dir_all(&input)?;
    for at in 0..FILES {
        // The files share their requests: most groups need all of them.
        let workload = Workload {
            entries: options.entries,
            open: 40,
            request_entries: 12,
            spans: at == 0,
            seed: options.seed + at,
            ..Workload::default()
        };
        workload.write(Layout::Json, &mut File::create(input.join(format!("{at}.jsonl")))?)?;
    }

    let calm = World::new(&binary, folder.path().join("calm"), &input, options.with_entries)?;
    let watch = Stopwatch::start();
    let status = calm.command()?.status()?;
    if !status.success() {
        return Err(calm.failed(status));
    }
    let calm_s = watch.seconds();
    let text = calm.output()?;
    let expected = Calm::new(text.lines());
    drop(text);
    writeln!(out, "calm run: {} records in {calm_s:.2} s", expected.len())?;
    if expected.is_empty() {
        return Err(io::Error::other("the calm run wrote no records"));
    }

    let longest_us = u64::try_from(Duration::from_secs_f64(calm_s * 1.3).as_micros()).unwrap_or(u64::MAX);
    let mut random = Random::new(options.seed);
    let (mut kills, mut epoch, mut holds) = (0, 0, true);
    let watch = Stopwatch::start();
    while kills < options.kills {
        epoch += 1;
        let name = folder.path().join(format!("storm-{epoch}"));
        let world = World::new(&binary, name, &input, options.with_entries)?;
        let before = kills;
        loop {
            if watch.elapsed() > Duration::from_secs(options.patience) {
                return Err(io::Error::other(format!("out of patience after {kills} kills")));
            }
            let mut child = world.command()?.spawn()?;
            // A quarter of the runs get to their end, so that kills fall on starts, middles and ends.
            let end_us = random.between(2_000, longest_us);
            let patience = if kills < options.kills {
                Duration::from_micros(end_us)
            } else {
                Duration::from_secs(options.patience)
            };
            match process::wait(&mut child, patience)? {
                Some(status) if status.success() => break,
                Some(status) => return Err(world.failed(status)),
                None => {
                    child.kill()?;
                    child.wait()?;
                    kills += 1;
                }
            }
        }
        let verdict = expected.judge(world.output()?.lines());
        writeln!(out, "epoch {epoch}: kills={} {verdict}", kills - before)?;
        for example in &verdict.examples {
            writeln!(out, "  {example}")?;
        }
        holds &= verdict.holds();
        fs::remove_dir_all(&world.folder)?;
    }
    writeln!(out, "crash: kills={kills} seed={} {}", options.seed, if holds { "held" } else { "FAILED" })?;
    Ok(holds)
}
