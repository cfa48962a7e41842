//! `timeline`: what services did, side by side on one axis of time.

#[cfg(test)]
mod tests;

use clap::Args;
use logbraid_core::record::Millis;
use logbraid_core::tree::Hierarchy as Tree;
use logbraid_core::{EventTime, Level};
use logbraid_index::{EntryRef, Texts};
use logbraid_operators::hierarchy::Linking;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_width::UnicodeWidthStr;

use crate::count::{InOrder, is_zero};
use crate::draw::{Lane, Moment, Picture, View, lanes};
use crate::hierarchy::node::known;
use crate::request::{Of, Request};
use crate::text::{Style, counted, duration, pad};
use crate::{Canvas, Entry, IdKind, Question, QuestionError, Reply, Select, Window};

/// Which entries.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// A request by any of its ids, or `all` for every entry of the window.
    #[arg(value_name = "ID")]
    pub id: String,
    /// What kind of id it is, where it could be several.
    #[arg(long = "type", value_name = "KIND")]
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<IdKind>,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub select: Select,
    /// Most entries that are shown; 0 for all. Counts are of all of them.
    #[arg(long, value_name = "N", default_value_t = LIMIT)]
    #[serde(default = "limit")]
    pub limit: usize,
    /// How it is drawn for people: services in lanes (`waterfall`), or the tree of the request.
    #[arg(long, value_name = "VIEW")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
}

const LIMIT: usize = 1000;
const fn limit() -> usize {
    LIMIT
}
/// Lanes that are drawn; what is left out is counted.
const LANES_MAX: usize = 60;
/// The word for every entry.
pub(crate) const ALL: &str = "all";

/// Entries of several services in the order of time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Answer {
    /// The id that was asked for.
    pub identifier: String,
    /// What it is; none for `all`, and when no entry carries it.
    pub identifier_type: Option<IdKind>,
    /// The entries.
    pub timeline: Vec<Item>,
    /// Services in the order in which they came in.
    pub services: Vec<String>,
    /// Entries that match, shown or not.
    pub total_entries: u64,
    /// From the first of them to the last; none without.
    #[schemars(with = "Option<f64>")]
    pub duration_ms: Option<Millis>,
    /// Entries by service, shown or not.
    pub service_breakdown: InOrder<u64>,
    /// Entries whose text cannot be read any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// True when not all are shown.
    pub truncated: bool,
    #[serde(skip)]
    drawn: Drawn,
}

/// Entries as milliseconds since the first, and levels.
type Marks = Vec<(f64, Option<Level>)>;

/// What drawings need.
#[derive(Debug, Clone, Default)]
struct Drawn {
    tree: Tree,
    /// For each service.
    lanes: Vec<(String, Marks)>,
}

/// An entry of the timeline.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Item {
    /// Who wrote it: its service, else its input.
    pub service: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
    /// Milliseconds since the first entry that matches; none without a time.
    #[schemars(with = "Option<f64>")]
    pub relative_time_ms: Option<Millis>,
    /// The entry.
    pub entry: Entry,
}

fn writer(entry: EntryRef<'_>) -> &str {
    entry.service().unwrap_or_else(|| entry.input())
}

impl Question for Timeline {
    const NAME: &'static str = "timeline";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Answer;

    fn is_drawing(&self) -> bool {
        self.view.is_some()
    }

    fn ask(&self, window: &Window) -> Result<Reply<Answer>, QuestionError> {
        let mut answer = Answer {
            identifier: self.id.clone(),
            identifier_type: None,
            timeline: Vec::new(),
            services: Vec::new(),
            total_entries: 0,
            duration_ms: None,
            service_breakdown: InOrder::default(),
            unreadable: 0,
            truncated: false,
            drawn: Drawn::default(),
        };
        let text = self.select.text()?;
        let mut texts = Texts::new();
        let selected = self.select.columns(window.filter());
        let whole = self.id == ALL && self.kind.is_none();
        let mut entries: Vec<EntryRef<'_>> = if whole {
            window.view().scan(&selected).collect()
        } else {
            let of = Of { id: self.id.clone(), kind: self.kind };
            let Some(found) = Request::find(window, &of) else {
                return Ok(Reply::when(false, answer));
            };
            answer.identifier_type = Some(found.kind);
            answer.truncated = found.is_cut();
            // Rebuilding the tree costs more than all the rest, and only its drawings need it.
            let found = if self.view.is_some_and(|view| view != View::Waterfall) {
                found.with_tree(&self.id, &Linking::default())
            } else {
                found
            };
            answer.drawn.tree = found.group.hierarchy.unwrap_or_default();
            let is_narrowed = !self.select.is_everything();
            if is_narrowed {
                let chosen: hashbrown::HashSet<(u64, &str)> = window
                    .view()
                    .scan_stored(&selected)
                    .map(|entry| (entry.offset(), entry.input()))
                    .collect();
                let mut entries = found.entries;
                entries.retain(|entry| chosen.contains(&(entry.offset(), entry.input())));
                entries
            } else {
                found.entries
            }
        };
        if let Some(text) = &text {
            entries.retain(|entry| {
                let matched = text.matches(&mut texts, *entry);
                answer.unreadable += u64::from(matched.is_err());
                matched == Ok(true)
            });
        }
        answer.fill(&entries);
        let most = if self.limit == 0 { entries.len() } else { self.limit };
        let start = entries.iter().find_map(|entry| known(entry.time()));
        answer.timeline.reserve_exact(most.min(entries.len()));
        for entry in entries.iter().take(most) {
            match Entry::read(&mut texts, *entry, false) {
                Ok(read) => answer.timeline.push(Item {
                    service: writer(*entry).to_owned(),
                    timestamp: read.timestamp,
                    relative_time_ms: read
                        .timestamp
                        .zip(start)
                        .map(|(time, start)| Millis(time.since(start).millis())),
                    entry: read,
                }),
                Err(_) => answer.unreadable += 1,
            }
        }
        answer.truncated |= entries.len() > most;
        Ok(Reply::when(answer.total_entries > 0, answer))
    }

    fn draw(&self, answer: &Answer, canvas: &mut Canvas) -> bool {
        if answer.total_entries == 0 {
            canvas.line(&format!("no entry of `{}`", answer.identifier), |_, text| text.to_owned());
            return true;
        }
        let time = answer.duration_ms.map_or_else(String::new, |ms| duration(ms.0));
        let entries = counted(answer.total_entries, "entry", "entries");
        let services = counted(answer.services.len() as u64, "service", "services");
        let text = format!("{}   {time}   {entries}   {services}", answer.identifier);
        canvas.line(&text, Style::bold);
        match self.view {
            Some(view) if view != View::Waterfall && !answer.drawn.tree.nodes.is_empty() => {
                Picture::new(&answer.drawn.tree, usize::MAX, |_| true).draw(view, canvas);
            }
            Some(_) => answer.draw_lanes(canvas),
            None => {
                answer.draw_lanes(canvas);
                canvas.gap();
                let room = answer.services.iter().map(|name| name.width()).max().unwrap_or(0).min(24);
                for item in &answer.timeline {
                    let ms = item.relative_time_ms.map_or_else(|| "-".to_owned(), |ms| duration(ms.0));
                    let level = item.entry.level.map_or("", Level::name);
                    let first = item.entry.message.lines().next().unwrap_or_default();
                    let text =
                        format!("{:>8} {level:<5} {} {first}", format!("+{ms}"), pad(&item.service, room));
                    canvas.line(&text, |style, text| style.level(item.entry.level, text));
                }
                let hidden = answer.total_entries.saturating_sub(answer.timeline.len() as u64);
                if hidden > 0 {
                    let text = format!("{} not shown", counted(hidden, "entry", "entries"));
                    canvas.line(&text, Style::dim);
                }
            }
        }
        true
    }
}

impl Answer {
    /// Everything that is said of all entries, shown or not.
    fn fill(&mut self, entries: &[EntryRef<'_>]) {
        let start = entries.iter().find_map(|entry| known(entry.time()));
        let end = entries.iter().rev().find_map(|entry| known(entry.time()));
        self.duration_ms = start.zip(end).map(|(start, end)| Millis(end.since(start).millis()));
        self.total_entries = entries.len() as u64;
        let mut places: hashbrown::HashMap<&str, usize> = hashbrown::HashMap::new();
        for entry in entries {
            let name = writer(*entry);
            let count = places.len();
            let at = *places.entry(name).or_insert(count);
            if at == self.service_breakdown.0.len() {
                self.service_breakdown.0.push((name.to_owned(), 0));
                self.drawn.lanes.push((name.to_owned(), Vec::new()));
                self.services.push(name.to_owned());
            }
            self.service_breakdown.0[at].1 += 1;
            if let Some((time, start)) = known(entry.time()).zip(start) {
                self.drawn.lanes[at].1.push((time.since(start).millis(), entry.level()));
            }
        }
    }

    fn draw_lanes(&self, canvas: &mut Canvas) {
        let shown: Vec<Lane> = self
            .drawn
            .lanes
            .iter()
            .take(LANES_MAX)
            .map(|(name, moments)| Lane {
                name: name.clone(),
                moments: moments.iter().map(|(ms, level)| Moment { ms: *ms, level: *level }).collect(),
            })
            .collect();
        lanes(&shown, self.duration_ms.map_or(0.0, |ms| ms.0), canvas);
        let hidden = self.drawn.lanes.len() - shown.len();
        if hidden > 0 {
            let text = format!("{} not drawn", counted(hidden as u64, "service", "services"));
            canvas.line(&text, Style::dim);
        }
    }
}
