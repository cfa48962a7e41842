//! Breaks the world from a seed: one number decides what is logged, how reads are cut, how partitions interleave, when
//! the program crashes, and how slowly sinks confirm. Judged against a calm run of the same world.
//!
//! ```text
//!  seed ─► world: partitions of lines ─┬─► calm run: in order, no crash ──► records ─┐
//!                                      └─► stormy run ─► durable records ─────────── judge
//!                                            ▲   crash │ Engine lost, sinks keep what they wrote
//!                                            └─────────┘ go on from the last durable commit
//! ```

mod run;
mod world;

use std::io::{self, Write};

use crate::judge::Verdict;

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many seeds to try, one after another.
    #[arg(long, default_value_t = 100)]
    pub runs: u64,
}

/// What one seed did.
#[derive(Debug)]
pub struct Outcome {
    /// Lost, changed and invented records.
    pub verdict: Verdict,
    /// How often the program crashed.
    pub crashes: u64,
    /// Lines of the world.
    pub lines: usize,
    /// True when time passed as lines arrived, and silent partitions went idle.
    pub live: bool,
}

/// Runs one seed; the error says why its chain could not be built.
pub fn simulate(seed: u64) -> Result<Outcome, String> {
    run::seed(seed)
}

/// Runs many seeds and prints those that fail; true when all held.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let (mut failed, mut crashes, mut lines, mut records, mut repeated) = (Vec::new(), 0, 0, 0, 0);
    for seed in options.seed..options.seed.saturating_add(options.runs) {
        let outcome = simulate(seed).map_err(io::Error::other)?;
        crashes += outcome.crashes;
        lines += outcome.lines;
        records += outcome.verdict.records;
        repeated += outcome.verdict.repeated;
        if !outcome.verdict.holds() {
            let Outcome { verdict, crashes, live, .. } = &outcome;
            writeln!(out, "seed {seed} FAILED: {verdict} crashes={crashes} live={live}")?;
            for example in &verdict.examples {
                writeln!(out, "  {example}")?;
            }
            failed.push(seed);
        }
    }
    writeln!(
        out,
        "simulate: runs={} lines={lines} records={records} crashes={crashes} repeated={repeated} failed={failed:?}",
        options.runs
    )?;
    Ok(failed.is_empty())
}

#[cfg(test)]
mod tests;
