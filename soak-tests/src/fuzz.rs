//! The fuzz targets on a stable toolchain: the corpus, and what a seeded mutator makes of it, for a bounded time. No
//! coverage leads it, as it does under `cargo fuzz`, which runs the same bodies; it finds what is near at hand, every day.

use std::fs;
use std::io::{self, Write};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::generate::random::Random;
use crate::stopwatch::Stopwatch;

#[expect(
    clippy::cast_possible_truncation,
    clippy::missing_panics_doc,
    reason = "it makes small inputs, and its panics are what is looked for"
)]
#[path = "../fuzz/bodies/block.rs"]
pub mod block;
#[expect(clippy::missing_panics_doc, reason = "its panics are what is looked for")]
#[path = "../fuzz/bodies/journal.rs"]
pub mod journal;
#[expect(clippy::missing_panics_doc, reason = "its panics are what is looked for")]
#[path = "../fuzz/bodies/lumberjack.rs"]
pub mod lumberjack;
#[expect(
    clippy::missing_panics_doc,
    clippy::naive_bytecount,
    reason = "it makes small inputs, and its panics are what is looked for"
)]
#[path = "../fuzz/bodies/parse.rs"]
pub mod parse;
#[expect(
    clippy::cast_possible_truncation,
    reason = "it makes small inputs, and its panics are what is looked for"
)]
#[path = "../fuzz/bodies/request.rs"]
pub mod request;

/// What to do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  logbraid-soak fuzz                                every target for 20 seconds
  logbraid-soak fuzz --target parse --seconds 600   one, for longer
  logbraid-soak fuzz --target parse --input FILE    an input again that was found
A find is written to a file whose name is told. With a nightly toolchain: `cd soak-tests && cargo fuzz run parse`.")]
pub struct Options {
    /// Only this target: `parse`, `block`, `request`, `lumberjack` or `journal`.
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Seconds for each.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// Decides every mutation.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Run this input alone.
    #[arg(long, value_name = "FILE", requires = "target")]
    pub input: Option<PathBuf>,
    /// Where the corpus is, a folder for each target.
    #[arg(long, default_value = "soak-tests/fuzz/corpus", value_name = "FOLDER")]
    pub corpus: PathBuf,
    /// Where finds go.
    #[arg(long, default_value = "target/prove", value_name = "FOLDER")]
    pub finds: PathBuf,
}

struct Target {
    name: &'static str,
    run: fn(&[u8]),
    /// What makes an input mean something.
    words: &'static [&'static str],
}

const TARGETS: [Target; 5] = [
    Target {
        name: "parse",
        run: parse::run,
        words: &[
            "\n",
            "\r\n",
            "{",
            "}",
            "\"",
            "\\",
            "\\u",
            "level=",
            "ERROR",
            "NaN",
            "1e999",
            "T10:00:00",
            "Z",
            "+14:00",
            "[",
            "]",
            "<134>",
            "trace_id=",
            "\tat ",
            "Caused by: ",
            "\u{feff}",
            "\u{0}",
            "é",
            "😀",
            "=",
            ",",
            ":",
            " F ",
            " P ",
        ],
    },
    Target { name: "block", run: block::run, words: &["\0\0\0", "\u{7f}\u{7f}\u{7f}"] },
    Target {
        name: "request",
        run: request::run,
        words: &[
            "{",
            "}",
            "\"id\":\"req-1\"",
            "\"limit\":0",
            "\"level\":[\"warn+\"]",
            "\"query\":\"(a|b)*\"",
            "\"view\":\"tree\"",
            "\"type\":\"span\"",
            ",",
            "18446744073709551615",
            "-1",
            "null",
            "[]",
            "\"sql\":\"select * from logs\"",
        ],
    },
    Target {
        name: "lumberjack",
        run: lumberjack::run,
        words: &[
            "2W\0\0\0\u{1}",
            "2W\0\0\0\u{3}",
            "2J\0\0\0\u{1}\0\0\0\u{2}{}",
            "2C\0\0\0\u{10}",
            "x\u{1}",
            "\0\0\0",
        ],
    },
    Target {
        name: "journal",
        run: journal::run,
        words: &[
            "MESSAGE=",
            "__REALTIME_TIMESTAMP=1790000000000000\n",
            "A\n\u{2}\0\0\0\0\0\0\0xy\n",
            "B\n\0\0\0\0\0\0\0\0\n",
            "\0\0\0\0\0\0\0\u{7f}",
            "\n\n",
            "=",
            "_",
        ],
    },
];

/// One input made of another.
fn mutated(random: &mut Random, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    const LONGEST: usize = 16 * 1024;
    let at = |random: &mut Random, len: usize| usize::try_from(random.below(len as u64 + 1)).unwrap_or(0);
    let one =
        |random: &mut Random| corpus[usize::try_from(random.below(corpus.len() as u64)).unwrap_or(0)].clone();
    let mut bytes = one(random);
    for _ in 0..=random.below(6) {
        let (a, b) = (at(random, bytes.len()), at(random, bytes.len()));
        let (from, to) = (a.min(b), a.max(b));
        match random.below(7) {
            0 => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => drop(bytes.drain(from..to.min(from + 32))),
            2 => drop(bytes.splice(from..from, words[at(random, words.len() - 1)].bytes())),
            3 => {
                let copy = bytes[from..to].to_vec();
                drop(bytes.splice(from..from, copy));
            }
            4 => {
                let other = one(random);
                let (c, d) = (at(random, other.len()), at(random, other.len()));
                drop(bytes.splice(from..to, other[c.min(d)..c.max(d)].iter().copied()));
            }
            5 => bytes.truncate(to),
            _ => bytes.insert(from, u8::try_from(random.below(256)).unwrap_or(0)),
        }
        bytes.truncate(LONGEST);
    }
    bytes
}

fn corpus(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let inputs: Vec<Vec<u8>> = paths.iter().map(fs::read).collect::<io::Result<_>>()?;
    if inputs.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("'{}' is empty", folder.display())));
    }
    Ok(inputs)
}

/// Runs the corpus, then mutations of it for as long as `more` says so. How many inputs there were; a find ends it.
fn fuzz(
    target: &Target,
    inputs: &[Vec<u8>],
    seed: u64,
    mut more: impl FnMut(u64) -> bool,
) -> Result<u64, Vec<u8>> {
    let holds = |bytes: &[u8]| catch_unwind(|| (target.run)(bytes)).is_ok();
    if let Some(bytes) = inputs.iter().find(|bytes| !holds(bytes)) {
        return Err(bytes.clone());
    }
    let (mut random, mut count) = (Random::new(seed), inputs.len() as u64);
    while more(count) {
        let bytes = mutated(&mut random, inputs, target.words);
        if !holds(&bytes) {
            return Err(bytes);
        }
        count += 1;
    }
    Ok(count)
}

/// Fuzzes; true when nothing was found.
///
/// # Errors
/// When the corpus cannot be read, or there is no such target.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let wanted = |target: &&Target| options.target.as_ref().is_none_or(|name| name == target.name);
    let mut holds = true;
    let mut any = false;
    for target in TARGETS.iter().filter(wanted) {
        any = true;
        let inputs = match &options.input {
            Some(path) => vec![fs::read(path)?],
            None => corpus(&options.corpus.join(target.name))?,
        };
        let watch = Stopwatch::start();
        let limit = Duration::from_secs(if options.input.is_some() { 0 } else { options.seconds });
        match fuzz(target, &inputs, options.seed, |_| watch.elapsed() < limit) {
            Ok(count) => {
                writeln!(
                    out,
                    "fuzz {}: {count} inputs in {:.1} s, none found",
                    target.name,
                    watch.seconds()
                )?;
            }
            Err(bytes) => {
                holds = false;
                fs::create_dir_all(&options.finds)?;
                let path = options.finds.join(format!("find-{}-{}", target.name, options.seed));
                fs::write(&path, bytes)?;
                writeln!(out, "fuzz {}: FOUND, see '{}'", target.name, path.display())?;
            }
        }
    }
    if !any {
        let message = "no such target; there are `parse`, `block`, `request`, `lumberjack` and `journal`";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_and_a_few_hundred_mutations_of_it_panic_nowhere() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for target in &TARGETS {
            let inputs = corpus(&folder.join(target.name)).expect("the corpus is kept in the repository");
            let count = fuzz(target, &inputs, 7, |count| count < 400).expect("no input panics");
            assert!(count >= 400);
        }
    }

    #[test]
    fn a_panic_is_a_find() {
        let target =
            Target { name: "test", run: |bytes| assert!(!bytes.contains(&b'!'), "found"), words: &["!"] };
        let found = fuzz(&target, &[b"quiet".to_vec()], 1, |count| count < 10_000);
        assert!(found.is_err_and(|bytes| bytes.contains(&b'!')));
    }
}
