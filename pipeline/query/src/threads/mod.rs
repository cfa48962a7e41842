//! `threads`: which threads there are, or what one of them did.

#[cfg(test)]
mod tests;

use clap::Args;
use hashbrown::HashMap;
use logbraid_core::record::Millis;
use logbraid_core::{EventTime, Level};
use logbraid_index::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{ByLevel, is_zero};
use crate::hierarchy::node::known;
use crate::request::is_attributed;
use crate::text::{Style, clock, counted, duration, grouped, pad};
use crate::{Canvas, Question, QuestionError, Reply, Select, Window};

/// Which threads.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Threads {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Follows one thread: the requests it worked on, in the order of time.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<String>,
    /// Most threads, or requests of one; 0 for all. What is left out is counted.
    #[arg(long, value_name = "N", default_value_t = LIMIT)]
    pub limit: usize,
}

const LIMIT: usize = 100;

impl Default for Threads {
    fn default() -> Self {
        Self { select: Select::default(), follow: None, limit: LIMIT }
    }
}

/// Threads, or one of them.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Answer {
    /// Threads, those with most entries first. A name that several services or hosts use stands for as many threads.
    pub threads: Vec<Thread>,
    /// Threads, shown or not.
    pub total_threads: usize,
    /// What the thread that is followed worked on, in the order of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
    /// Such stretches, shown or not.
    #[serde(skip_serializing_if = "is_nothing")]
    pub total_segments: usize,
    /// Entries that were looked at.
    pub total_entries: u64,
    /// Entries whose text cannot be read any more, so that they could not be judged.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// True when not all are shown.
    pub truncated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_nothing(count: &usize) -> bool {
    *count == 0
}

/// A thread of a service.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Thread {
    /// Its id or name.
    pub thread_id: String,
    /// Its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its entries.
    pub log_count: u64,
    /// Of these, at ERROR or FATAL.
    pub error_count: u64,
    /// Its first entry.
    pub first_seen: Option<EventTime>,
    /// Its last entry.
    pub last_seen: Option<EventTime>,
    /// Requests that it named, first met first; at most 20 are listed.
    pub correlation_ids: Vec<String>,
    /// How many there are.
    pub total_correlation_ids: usize,
}

/// Requests of a thread that are listed.
const IDS_SHOWN: usize = 20;

/// A stretch of a thread's time that it spent on one request.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Segment {
    /// The request; none for entries of none.
    pub correlation_id: Option<String>,
    /// Its trace, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// First entry.
    pub start: Option<EventTime>,
    /// Last entry.
    pub end: Option<EventTime>,
    /// From the first to the last.
    #[schemars(with = "f64")]
    pub duration_ms: Millis,
    /// How long the thread had written nothing before.
    #[schemars(with = "Option<f64>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_before_ms: Option<Millis>,
    /// Its entries.
    pub entries: u64,
    /// Of these, without an id of the request.
    #[serde(skip_serializing_if = "is_zero")]
    pub attributed: u64,
    /// Its entries by level.
    pub levels: ByLevel,
}

type Place<'v> = (&'v str, Option<&'v str>, Option<&'v str>);

#[derive(Default)]
struct Tally<'v> {
    count: u64,
    errors: u64,
    first: Option<EventTime>,
    last: Option<EventTime>,
    ids: Vec<&'v str>,
    known: hashbrown::HashSet<&'v str>,
}

impl Question for Threads {
    const NAME: &'static str = "threads";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Answer;

    fn ask(&self, window: &Window) -> Result<Reply<Answer>, QuestionError> {
        let mut filter = self.select.columns(window.filter());
        if let Some(thread) = &self.follow {
            filter = filter.is(Column::Thread, thread);
        }
        let text = self.select.text()?;
        let mut answer = Answer::default();
        let mut texts = logbraid_index::Texts::new();
        let mut tallies: HashMap<Place<'_>, Tally<'_>> = HashMap::new();
        let mut segments: Vec<Segment> = Vec::new();
        // Threads of one name in several services are followed apart.
        let mut open: HashMap<(Option<&str>, Option<&str>), usize> = HashMap::new();
        for entry in window.view().scan(&filter) {
            let Some(thread) = entry.thread() else { continue };
            if let Some(text) = &text {
                match text.matches(&mut texts, entry) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(_) => {
                        answer.unreadable += 1;
                        continue;
                    }
                }
            }
            answer.total_entries += 1;
            let place = (thread, entry.service(), entry.host());
            let tally = tallies.entry(place).or_default();
            tally.count += 1;
            tally.errors += u64::from(entry.level().is_some_and(Level::is_error));
            let time = known(entry.time());
            tally.first = tally.first.or(time);
            tally.last = time.or(tally.last);
            if let Some(id) = entry.correlation().or_else(|| entry.trace())
                && tally.known.insert(id)
            {
                tally.ids.push(id);
            }
            if self.follow.is_some() {
                let before = open.get(&(place.1, place.2)).copied();
                let goes_on = before.filter(|at| {
                    let last = &segments[*at];
                    last.correlation_id.as_deref() == entry.correlation()
                        && (last.trace_id.as_deref() == entry.trace() || entry.trace().is_none())
                });
                let at = goes_on.unwrap_or_else(|| {
                    let idle = before.and_then(|at| segments[at].end).zip(time);
                    segments.push(Segment {
                        correlation_id: entry.correlation().map(str::to_owned),
                        trace_id: entry.trace().map(str::to_owned),
                        service: entry.service().map(str::to_owned),
                        start: time,
                        end: time,
                        duration_ms: Millis(0.0),
                        idle_before_ms: idle.map(|(end, start)| Millis(start.since(end).millis())),
                        entries: 0,
                        attributed: 0,
                        levels: ByLevel::default(),
                    });
                    segments.len() - 1
                });
                open.insert((place.1, place.2), at);
                let segment = &mut segments[at];
                segment.entries += 1;
                segment.attributed += u64::from(is_attributed(entry));
                segment.levels.add(entry.level());
                segment.end = time.or(segment.end);
                if let Some((start, end)) = segment.start.zip(segment.end) {
                    segment.duration_ms = Millis(end.since(start).millis());
                }
            }
        }
        let mut threads: Vec<Thread> = tallies.into_iter().map(Thread::of).collect();
        threads.sort_by(|a, b| {
            let name =
                |thread: &Thread| (thread.thread_id.clone(), thread.service.clone(), thread.host.clone());
            b.log_count.cmp(&a.log_count).then_with(|| name(a).cmp(&name(b)))
        });
        let most = if self.limit == 0 { usize::MAX } else { self.limit };
        answer.total_threads = threads.len();
        answer.total_segments = segments.len();
        answer.truncated = threads.len() > most || segments.len() > most;
        threads.truncate(most);
        segments.truncate(most);
        answer.threads = threads;
        answer.segments = segments;
        Ok(Reply::when(answer.total_entries > 0, answer))
    }

    fn draw(&self, answer: &Answer, canvas: &mut Canvas) -> bool {
        for thread in &answer.threads {
            let name = match &thread.service {
                Some(service) => format!("{service}/{}", thread.thread_id),
                None => thread.thread_id.clone(),
            };
            let requests = counted(thread.total_correlation_ids as u64, "request", "requests");
            let entries = grouped(thread.log_count);
            let errors = match thread.error_count {
                0 => String::new(),
                count => counted(count, "error", "errors"),
            };
            let span = thread.first_seen.zip(thread.last_seen);
            let span =
                span.map_or_else(String::new, |(first, last)| format!("{} – {}", clock(first), clock(last)));
            let text = format!("{} {entries:>8}  {} {span}  {errors}", pad(&name, 32), pad(&requests, 16));
            let failed = thread.error_count > 0;
            canvas.line(&text, |style, text| if failed { style.warn(text) } else { text.to_owned() });
        }
        for segment in &answer.segments {
            let id = segment.correlation_id.as_deref().or(segment.trace_id.as_deref()).unwrap_or("-");
            let start = segment.start.map_or_else(|| clock(EventTime::MIN), clock);
            let time = duration(segment.duration_ms.0);
            let entries = counted(segment.entries, "entry", "entries");
            let idle =
                segment.idle_before_ms.map_or_else(String::new, |ms| format!("after {}", duration(ms.0)));
            let text = format!("  {start}  {time:>8}  {}  {}  {idle}", pad(id, 36), pad(&entries, 11));
            let failed = segment.levels.errors() > 0;
            canvas.line(&text, |style, text| if failed { style.error(text) } else { text.to_owned() });
        }
        let hidden = answer.total_threads - answer.threads.len();
        if hidden > 0 {
            let text = format!("{} not shown", counted(hidden as u64, "thread", "threads"));
            canvas.line(&text, Style::dim);
        }
        !answer.threads.is_empty()
    }
}

impl Thread {
    fn of(((id, service, host), tally): (Place<'_>, Tally<'_>)) -> Self {
        Self {
            thread_id: id.to_owned(),
            service: service.map(str::to_owned),
            host: host.map(str::to_owned),
            log_count: tally.count,
            error_count: tally.errors,
            first_seen: tally.first,
            last_seen: tally.last,
            total_correlation_ids: tally.ids.len(),
            correlation_ids: tally.ids.iter().take(IDS_SHOWN).map(|id| (*id).to_owned()).collect(),
        }
    }
}
