//! What an index of a file costs: bytes an entry as the index counts them, as the allocator counts them and as the
//! system does, and the processor time of pushing. For each figure a process of its own:
//!
//! `cargo run --release -p logbraid-index --example measure -- FILE packed|files [ENTRIES]`

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use logbraid_core::{EventTime, Fields, Level, PartitionId, Source};
use logbraid_index::{Backing, Column, Filter, IndexWriter, LevelSet, Options, Texts};
use logbraid_parse::{Assembler, Framing, Parser, RawBatch, Settings};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// The system's allocator with a counter of live bytes.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

#[expect(
    unsafe_code,
    reason = "an allocator cannot be written without; each call goes to the system's as it came"
)]
// SAFETY: every method hands its arguments on unchanged to `System`, which keeps the contract of `GlobalAlloc`; the
// counter neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn timed<T>(mut work: impl FnMut() -> T) -> (T, Duration) {
    let start = cpu();
    let result = work();
    (result, cpu().saturating_sub(start))
}

/// The best of some tries of a question, by the clock.
fn best<T>(mut work: impl FnMut() -> T) -> (T, Duration) {
    let mut once = || {
        #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
        let start = std::time::Instant::now();
        (work(), start.elapsed())
    };
    let mut best = once();
    for _ in 0..4 {
        let next = once();
        if next.1 < best.1 {
            best = next;
        }
    }
    best
}

/// The processor time that this thread has used: waiting for the processor does not count.
fn cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else { return Duration::ZERO };
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0))
    };
    of(usage.user_time()) + of(usage.system_time())
}

/// Resident memory in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap_or(0) * 1024
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which file?")?;
    let backing = match arguments.next().as_deref() {
        Some("packed") => Backing::Packed,
        Some("files") => Backing::Files,
        _ => return Err("packed or files?".into()),
    };
    let most: u64 = arguments.next().map_or(Ok(u64::MAX), |text| text.parse())?;
    let mut out = std::io::stdout();

    let parse = Settings::default().compile()?;
    let fields = Fields::default();
    let mut parser = Parser::new(Arc::new(parse.clone()), &fields);
    let mut assembler = Assembler::new(&parse, EventTime::MIN);
    let mut source = Source::lines(path.clone(), PartitionId(0));
    source.reader = parse.reader();
    let source = Arc::new(source);
    let mut lines = BufReader::with_capacity(64 << 10, std::fs::File::open(&path)?);
    let (live, rss) = (LIVE.load(Ordering::Relaxed), resident());
    let mut writer = IndexWriter::new(Options { backing, ..Options::default() });
    let mut pushing = Duration::ZERO;
    let (mut offset, mut line, mut ended) = (0, 1, false);
    let mut bytes = Vec::new();
    while !ended {
        let (first_offset, first_line) = (offset, line);
        bytes.clear();
        while bytes.len() < 256 << 10 && !ended {
            let read = if line > most { 0 } else { lines.read_until(b'\n', &mut bytes)? };
            ended = read == 0;
            offset += read as u64;
            line += u64::from(!ended);
        }
        let framing = Framing::Lines { offset: first_offset, line: first_line };
        let raw =
            RawBatch { source: Arc::clone(&source), bytes: bytes.clone(), framing, ingest: EventTime::MIN };
        let mut events = Vec::new();
        assembler.push(parser.parse(raw), &mut events);
        if ended {
            assembler.flush(&mut events);
        }
        let ((), time) = timed(|| {
            for event in &events {
                writer.push(event);
            }
        });
        pushing += time;
    }
    let ((), sealing) = timed(|| writer.finish());
    writer.publish();
    drop((parser, assembler, lines, bytes, parse));
    let view = writer.view();
    let entries = usize::try_from(view.entries())?.max(1);
    let each = |bytes: usize| bytes as f64 / entries as f64;
    let metrics = writer.metrics();
    let counted = LIVE.load(Ordering::Relaxed).saturating_sub(live);
    writeln!(out, "entries {entries}, {backing:?}")?;
    writeln!(
        out,
        "push            {:8.1} ns an entry",
        (pushing + sealing).as_nanos() as f64 / entries as f64
    )?;
    writeln!(out, "columns         {:8.1} bytes an entry", each(metrics.sizes.columns))?;
    writeln!(out, "dictionaries    {:8.1} bytes an entry", each(metrics.sizes.dictionaries))?;
    writeln!(out, "text            {:8.1} bytes an entry", each(metrics.sizes.text))?;
    writeln!(out, "all             {:8.1} bytes an entry", each(metrics.bytes()))?;
    writeln!(out, "allocator       {:8.1} bytes an entry", each(counted))?;
    writeln!(out, "VmRSS           {:8.1} bytes an entry", each(resident().saturating_sub(rss)))?;

    let errors = Filter::default().levels(LevelSet::of(Level::Error));
    for (what, filter) in [("errors", &errors), ("everything", &Filter::default())] {
        let (first, time) = best(|| view.scan(filter).take(100).count());
        writeln!(out, "first {first} of {what}: {time:?}")?;
        let (count, time) = best(|| view.count(filter));
        writeln!(out, "count {count} of {what}: {time:?}")?;
        let (count, time) = best(|| view.scan(filter).count());
        writeln!(out, "scan {count} of {what} in order: {time:?}")?;
    }
    for (column, value) in
        [(Column::Correlation, "req-000007"), (Column::Span, "span-00000100"), (Column::Trace, "none")]
    {
        let filter = Filter::default().is(column, value);
        let (found, time) = best(|| view.scan(&filter).next().is_some());
        writeln!(out, "first {value}: {found} {time:?}")?;
        let (found, time) = best(|| view.scan(&filter).count());
        writeln!(out, "all {value}: {found} {time:?}")?;
    }
    let (ids, time) = best(|| view.ids(Column::Correlation, &Filter::default()).len());
    writeln!(out, "{ids} correlation ids: {time:?}")?;
    let (ids, time) = best(|| view.templates(&Filter::default()).len());
    writeln!(out, "{ids} templates: {time:?}")?;
    let (found, time) = best(|| {
        let mut texts = Texts::new();
        let found = view.scan(&errors).take(100).filter(|entry| texts.message(*entry).is_ok());
        found.count()
    });
    writeln!(out, "messages of the first {found} errors: {time:?}")?;
    let every = Filter::default();
    let (found, time) = best(|| {
        let mut texts = Texts::new();
        view.scan_stored(&every)
            .filter(|entry| texts.message(*entry).is_ok_and(|text| text.contains("imeout")))
            .count()
    });
    writeln!(out, "{found} messages with `imeout`: {time:?}")?;
    Ok(())
}
