//! Sorts a group's entries into nodes: spans, threads, or services where there are no threads.
//!
//! A log that states how long something took writes that line when the work is done. So a stated duration is counted
//! back from its entry; it is counted forward only from the first of several entries, as span records do that carry the
//! span's start.
//!
//! A span is one piece of work: what it states is its duration. A thread does many things; the longest thing that it
//! states is its duration only if it is longer than the time between its entries.

use hashbrown::HashMap;
use logbraid_core::tree::NodeKind;
use logbraid_core::{EventTime, FieldId, Group, Level, LevelCounts, Row, Span};

/// A stated duration longer than this is not believed: one year, in milliseconds.
const STATED_MS_MAX: f64 = 366.0 * 86_400_000.0;
/// A message longer than this many bytes is no name.
const NAME_BYTES_MAX: usize = 50;

/// No node, or no thread.
pub(super) const NONE: u32 = u32::MAX;
/// More than one span.
const MANY: u32 = u32::MAX - 1;

/// A node while its entries are read. Everything is borrowed from the group.
pub(super) struct Draft<'a> {
    pub(super) kind: NodeKind,
    /// The span, the thread, or the service.
    pub(super) id: &'a str,
    pub(super) service: Option<&'a str>,
    /// The number of the thread that wrote its first entry.
    pub(super) home: u32,
    pub(super) first: EventTime,
    pub(super) last: EventTime,
    /// The largest duration that an entry stated, and the time of that entry.
    stated: Option<(Span, EventTime)>,
    pub(super) entries: u64,
    pub(super) levels: LevelCounts,
    operation: Option<&'a str>,
    said: Option<&'a str>,
    /// The parent span, as its first entry with one names it.
    pub(super) parent: Option<&'a str>,
}

impl<'a> Draft<'a> {
    fn new(kind: NodeKind, id: &'a str, service: Option<&'a str>, home: u32, time: EventTime) -> Self {
        Self {
            kind,
            id,
            service,
            home,
            first: time,
            last: time,
            stated: None,
            entries: 0,
            levels: LevelCounts::default(),
            operation: None,
            said: None,
            parent: None,
        }
    }

    fn add(&mut self, group: &'a Group, row: &Row) {
        self.entries += 1;
        self.levels.add(row.level);
        self.first = self.first.min(row.time);
        self.last = self.last.max(row.time);
        if let Some(stated) = stated(row)
            && self.stated.is_none_or(|(known, _)| stated > known)
        {
            self.stated = Some((stated, row.time));
        }
        if self.parent.is_none() {
            self.parent = group.get(row.parent_span);
        }
        if self.service.is_none() {
            self.service = group.service(row);
        }
        if self.operation.is_none() {
            if row.extras_len > 0 {
                self.operation = group.field(row, FieldId::OPERATION);
            }
            if self.said.is_none() && !row.level.is_some_and(Level::is_error) {
                self.said = short(group.message(row));
            }
        }
    }

    /// What it does: the operation that a record names, else its first short message.
    pub(super) fn name(&self) -> Option<&'a str> {
        self.operation.or(self.said)
    }

    /// From its first moment to its last: all entries lie within, and a longer stated duration stretches it.
    pub(super) fn interval(&self) -> (EventTime, EventTime) {
        match self.stated {
            Some((span, at)) if at == self.first && self.last > at => (self.first, self.last.max(at + span)),
            Some((span, at)) => (self.first.min(at - span), self.last),
            None => (self.first, self.last),
        }
    }

    /// Its length: what its span states, else from the first moment to the last.
    pub(super) fn duration(&self) -> Span {
        let (start, end) = self.interval();
        match self.stated {
            Some((span, _)) if self.kind == NodeKind::Span => span,
            _ => end.since(start),
        }
    }
}

fn stated(row: &Row) -> Option<Span> {
    let ms = row.duration_ms;
    if !(0.0..=STATED_MS_MAX).contains(&ms) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most a year, checked above")]
    let nanos = (ms * 1e6).round() as i64;
    Some(Span::from_nanos(nanos))
}

/// The first line of a message, if it can serve as a name.
fn short(message: &str) -> Option<&str> {
    let head = message.get(..NAME_BYTES_MAX.min(message.len())).unwrap_or(message);
    let line = head.split('\n').next().unwrap_or_default();
    let whole = line.len() < head.len() || head.len() == message.len();
    let line = line.trim();
    (whole
        && line.len() < NAME_BYTES_MAX
        && !line.is_empty()
        && !line.starts_with('{')
        && !line.contains("Error:"))
    .then_some(line)
}

/// The entries of a group, sorted into nodes.
pub(super) struct Drafts<'a> {
    pub(super) nodes: Vec<Draft<'a>>,
    /// For each entry, its node.
    pub(super) node_of_row: Vec<u32>,
    /// Spans by id.
    pub(super) spans: HashMap<&'a str, u32>,
}

/// What is known of one thread of one service; entries without a thread are a thread of their own.
struct Home {
    /// Its span, [`NONE`] or [`MANY`].
    span: u32,
    /// The node of its entries without a span, or [`NONE`].
    node: u32,
}

/// Sorts the entries of `group` into nodes. Each entry goes to exactly one.
pub(super) fn sort(group: &Group) -> Drafts<'_> {
    let mut sorter = Sorter {
        group,
        drafts: Drafts {
            nodes: Vec::new(),
            node_of_row: vec![NONE; group.rows.len()],
            spans: HashMap::new(),
        },
        homes: Vec::new(),
        home_of: HashMap::new(),
    };
    let spans = group.rows.iter().filter(|row| row.span.is_some()).count();
    // Threads matter only to entries without a span.
    let threads = spans < group.rows.len();
    if spans > 0 {
        sorter.take_spans(threads);
    }
    if threads {
        sorter.take_others();
    }
    sorter.drafts
}

struct Sorter<'a> {
    group: &'a Group,
    drafts: Drafts<'a>,
    homes: Vec<Home>,
    home_of: HashMap<(Option<&'a str>, Option<&'a str>), u32>,
}

impl Sorter<'_> {
    fn home(&mut self, row: &Row) -> u32 {
        let key = (self.group.service(row), self.group.get(row.thread));
        *self.home_of.entry(key).or_insert_with(|| {
            self.homes.push(Home { span: NONE, node: NONE });
            number(self.homes.len() - 1)
        })
    }

    fn take_spans(&mut self, threads: bool) {
        let group = self.group;
        for (at, row) in group.rows.iter().enumerate() {
            let Some(span) = group.get(row.span) else { continue };
            let home = if threads { self.home(row) } else { NONE };
            let Drafts { nodes, node_of_row, spans } = &mut self.drafts;
            let node = *spans.entry(span).or_insert_with(|| {
                nodes.push(Draft::new(NodeKind::Span, span, group.service(row), home, row.time));
                number(nodes.len() - 1)
            });
            nodes[node as usize].add(group, row);
            node_of_row[at] = node;
            if let Some(home) = self.homes.get_mut(home as usize) {
                home.span = if home.span == NONE || home.span == node { node } else { MANY };
            }
        }
    }

    fn take_others(&mut self) {
        let group = self.group;
        for (at, row) in group.rows.iter().enumerate() {
            if row.span.is_some() {
                continue;
            }
            let home_at = self.home(row);
            let home = &mut self.homes[home_at as usize];
            let nodes = &mut self.drafts.nodes;
            // A thread that works on one span only is taken to work on it for as long as the span lasts.
            let within = nodes.get(home.span as usize).is_some_and(|span| {
                let (start, end) = span.interval();
                start <= row.time && row.time <= end
            });
            let node = if within {
                home.span
            } else {
                if home.node == NONE {
                    home.node = number(nodes.len());
                    let service = group.service(row);
                    let (kind, id) = match group.get(row.thread) {
                        Some(thread) => (NodeKind::Thread, thread),
                        None => (NodeKind::Correlation, service.unwrap_or(&group.key.value)),
                    };
                    nodes.push(Draft::new(kind, id, service, home_at, row.time));
                }
                home.node
            };
            nodes[node as usize].add(group, row);
            self.drafts.node_of_row[at] = node;
        }
    }
}

/// Counts nodes in 32 bits: a group holds fewer than 2³² bytes of text.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NONE)
}
