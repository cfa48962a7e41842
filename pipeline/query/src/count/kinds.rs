//! Messages by kind: what differs only in its variable parts is one.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Slot;
use logbraid_core::template::mask;
use logbraid_core::{EventTime, Id, Level};
use logbraid_index::{EntryRef, Texts};
use schemars::JsonSchema;
use serde::Serialize;

use super::ByLevel;
use super::levels::shortened;
use super::tally::halve;

/// Kinds that are counted one by one.
const KINDS_MAX: usize = 1 << 16;
/// Names of services and threads that a kind remembers.
const NAMES_MAX: usize = 16;
/// Examples of a kind.
const EXAMPLES_MAX: usize = 3;
/// Longest example and pattern that are shown, in characters.
const TEXT_CHARS: usize = 500;

/// Counts entries by the template of their message, in bounded memory: beyond 65 536 kinds, the rarest are given up and
/// counted among the others.
#[derive(Debug)]
pub(crate) struct Kinds<'v> {
    by_template: HashMap<Id, Kind<'v>>,
    entries: u64,
    others: u64,
}

/// The entries of one kind.
#[derive(Debug)]
pub(crate) struct Kind<'v> {
    /// Which template.
    pub template: Id,
    /// By level.
    pub levels: ByLevel,
    /// How many.
    pub count: u64,
    /// The first in the order of time.
    pub first: EntryRef<'v>,
    /// The last in the order of time.
    pub last: EntryRef<'v>,
    /// The services that wrote it, and how often.
    pub services: Names<'v>,
    /// The threads that wrote it, and how often.
    pub threads: Names<'v>,
    /// Some of its entries, spread over all of them: the first, and later ones at doubling distances.
    examples: Vec<EntryRef<'v>>,
}

/// The first names that were met, with their counts, and what other names had together.
#[derive(Debug, Default)]
pub(crate) struct Names<'v> {
    names: Vec<(&'v str, u64)>,
    others: u64,
}

impl<'v> Names<'v> {
    fn add(&mut self, name: Option<&'v str>) {
        let Some(name) = name else { return };
        if let Some((_, count)) = self.names.iter_mut().find(|(known, _)| *known == name) {
            *count += 1;
        } else if self.names.len() < NAMES_MAX {
            self.names.push((name, 1));
        } else {
            self.others += 1;
        }
    }
    /// Names by count, then by name.
    pub(crate) fn sorted(&self) -> Vec<String> {
        let mut names = self.names.clone();
        names.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        names.into_iter().map(|(name, _)| name.to_owned()).collect()
    }
    /// Entries of names that were not remembered.
    pub(crate) const fn others(&self) -> u64 {
        self.others
    }
}

/// A kind of message, as answers show it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KindSummary {
    /// The message with what varies replaced by `<*>`.
    pub pattern: String,
    /// The template's id, as entries carry it.
    pub template: Id,
    /// How many entries.
    pub count: u64,
    /// The highest level among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The services that wrote it, most often first; at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// When first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<EventTime>,
    /// When last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<EventTime>,
    /// One of the messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

impl<'v> Kinds<'v> {
    pub(crate) fn new() -> Self {
        Self { by_template: HashMap::new(), entries: 0, others: 0 }
    }
    /// Counts one entry. Entries come in the order of time.
    pub(crate) fn add(&mut self, entry: EntryRef<'v>) {
        self.entries += 1;
        let template = entry.template();
        if self.by_template.len() >= KINDS_MAX && !self.by_template.contains_key(&template) {
            self.others += halve(&mut self.by_template, |kind| kind.count, |kind| kind.count);
        }
        let kind = match self.by_template.entry(template) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(Kind::new(template, entry)),
        };
        kind.add(entry);
    }
    /// How many entries were counted, in a kind or among the others.
    pub(crate) const fn entries(&self) -> u64 {
        self.entries
    }
    /// How many kinds there are; at least so many where there are others.
    pub(crate) fn len(&self) -> usize {
        self.by_template.len()
    }
    /// Entries whose kinds were given up; while it is 0, every count is exact.
    pub(crate) const fn others(&self) -> u64 {
        self.others
    }
    /// One kind.
    pub(crate) fn get(&self, template: Id) -> Option<&Kind<'v>> {
        self.by_template.get(&template)
    }
    /// All kinds, most frequent first, then by template.
    pub(crate) fn sorted(&self) -> Vec<&Kind<'v>> {
        let mut all: Vec<&Kind<'v>> = self.by_template.values().collect();
        all.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.template.cmp(&b.template)));
        all
    }
}

impl<'v> Kind<'v> {
    fn new(template: Id, entry: EntryRef<'v>) -> Self {
        Self {
            template,
            levels: ByLevel::default(),
            count: 0,
            first: entry,
            last: entry,
            services: Names::default(),
            threads: Names::default(),
            examples: Vec::new(),
        }
    }
    fn add(&mut self, entry: EntryRef<'v>) {
        self.levels.add(entry.level());
        self.services.add(entry.service());
        self.threads.add(entry.thread());
        self.last = entry;
        // At 0, 1, 2, 4, 8, …: the first stays, the others make room for later ones.
        if self.count & self.count.saturating_sub(1) == 0 {
            if self.examples.len() == 2 * EXAMPLES_MAX {
                self.examples.remove(1);
            }
            self.examples.push(entry);
        }
        self.count += 1;
    }
    /// The highest level among its entries.
    pub(crate) fn level(&self) -> Option<Level> {
        self.levels.present().find_map(|(level, _)| level)
    }
    /// Up to three different messages of its kind; fewer where texts cannot be read.
    pub(crate) fn examples(&self, texts: &mut Texts<'v>) -> Vec<String> {
        let mut examples: Vec<String> = Vec::new();
        for entry in &self.examples {
            if let Ok(message) = texts.message(*entry) {
                let message = shortened(message, TEXT_CHARS);
                if examples.len() < EXAMPLES_MAX && !examples.contains(&message) {
                    examples.push(message);
                }
            }
        }
        examples
    }
    /// Its message with what varies replaced by `<*>`; where no text can be read any more, its template's id.
    pub(crate) fn pattern(&self, texts: &mut Texts<'v>) -> String {
        let found = self.examples.iter().find_map(|entry| pattern(texts, *entry));
        found.unwrap_or_else(|| format!("<template {}>", self.template))
    }
    pub(crate) fn summary(&self, texts: &mut Texts<'v>) -> KindSummary {
        let known = |entry: EntryRef<'_>| Some(entry.time()).filter(|time| time.is_known());
        KindSummary {
            pattern: self.pattern(texts),
            template: self.template,
            count: self.count,
            level: self.level(),
            services: self.services.sorted(),
            first_seen: known(self.first),
            last_seen: known(self.last),
            example: self.examples(texts).into_iter().next(),
        }
    }
}

/// An entry's message with what varies replaced by `<*>`; `None` when its text cannot be read any more.
pub(crate) fn pattern<'v>(texts: &mut Texts<'v>, entry: EntryRef<'v>) -> Option<String> {
    texts.message(entry).ok().map(|message| shortened(&mask(message), TEXT_CHARS))
}
