//! Finds the templates of messages, counts them, and notices those that were never seen before or not for long.
//!
//! ```text
//!  events ──► events with their template ──► correlate, sample, index
//!    └► miner ─ per service: known? ─► new_template, rare_template
//!         └──── per window: counts ──► template records
//! ```

use std::borrow::Cow;
use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use logbraid_core::component::{Component, ConfigError, Context, ensure};
use logbraid_core::{
    ByteSize, Emit, Event, EventTime, Evidence, Finding, FindingKind, Id, Key, KeyKind, Level, LevelCounts,
    Operator, Record, Severity, Span, TemplateCount,
};
use regex::Regex;
use serde_json::json;

mod miner;
mod scan;
mod seed;
mod state;
#[cfg(test)]
mod tests;

pub use miner::{Limits, Miner, Seen, Template};

use crate::error_burst::tumbling::Tumbling;

/// Settings of `templates`.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A service must have been seen for this long before a template of it counts as new.
    pub warm_up: Span,
    /// A template that was not seen for this long and comes again is told as rare.
    pub rare_after: Span,
    /// How often templates are counted.
    pub window: Span,
    /// Most templates that are kept; beyond, those that were not seen for the longest time leave.
    pub max: usize,
    /// Most memory for them.
    pub memory: ByteSize,
    /// Templates that are known from the beginning, with `<*>` for what varies.
    pub seeds: Vec<String>,
    /// A file of templates that are known from the beginning: `template` records as a sink wrote them, or one text a
    /// line.
    pub seed: Option<String>,
    /// Regular expressions for what varies, beyond numbers, addresses, paths and the like.
    pub masks: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            warm_up: Span::from_seconds(10 * 60),
            rare_after: Span::from_seconds(3600),
            window: Span::from_seconds(60),
            max: 10_000,
            memory: ByteSize::from_bytes(64 << 20),
            seeds: Vec::new(),
            seed: None,
            masks: Vec::new(),
        }
    }
}

/// Most services that are told apart; the others share one.
const SERVICES_MAX: usize = 4096;
/// Most counters in open windows.
const OPEN_MAX: usize = 65_536;
/// Most findings that wait for a watermark.
const PENDING_MAX: usize = 4096;
/// Most templates that a restart finds to be new or rare again.
const RECENT_MAX: usize = 65_536;
/// Parts of `rare_after` in which times are remembered.
const PARTS: i64 = 16;

/// A service, and the templates that are known of it.
#[derive(Debug)]
struct Service {
    name: Option<String>,
    first: EventTime,
    /// By template: the part of time in which it was last seen.
    known: HashMap<Id, i64>,
}

#[derive(Debug, Default)]
struct Count {
    messages: u64,
    levels: LevelCounts,
    example: String,
}

#[derive(Debug)]
struct Pending {
    kind: FindingKind,
    service: u32,
    template: Id,
    quiet: Span,
    evidence: Evidence,
    key: Option<Key>,
    /// Right after the event, or after the watermark that it came behind.
    due: EventTime,
}

/// A template that was new or rare in a service: a run that begins again before it must find it so again.
#[derive(Debug)]
struct Told {
    time: EventTime,
    service: u32,
    template: Id,
    /// The part of time in which it was seen before; none when it never was.
    before: Option<i64>,
}

/// The operator.
#[derive(Debug)]
pub struct Templates {
    config: Config,
    masks: Vec<Regex>,
    miner: Miner,
    /// Templates that no service can be the first to write.
    seeded: HashSet<Id>,
    services: Vec<Service>,
    by_name: HashMap<Option<String>, u32>,
    counts: Tumbling<(u32, Id), Count>,
    pending: Vec<Pending>,
    /// What was told lately, newest last; see [`Told`].
    recent: VecDeque<Told>,
    /// Names that templates lost, since the last window.
    renamed: Vec<(Id, Id)>,
    told: u64,
    untold: u64,
    /// True when something was learned since the state was last written.
    learned: bool,
}

impl Templates {
    fn service(&mut self, event: &Event) -> u32 {
        let name = event.service();
        if let Some(known) = self.by_name.get(&NameRef(name)) {
            return *known;
        }
        let full = self.services.len() >= SERVICES_MAX;
        let name = if full { None } else { name.map(str::to_owned) };
        if let Some(known) = self.by_name.get(&name) {
            return *known;
        }
        let number = u32::try_from(self.services.len()).unwrap_or(u32::MAX);
        self.services.push(Service { name: name.clone(), first: event.time(), known: HashMap::new() });
        self.by_name.insert(name, number);
        self.learned = true;
        number
    }

    /// The part of time that `time` is in.
    fn part(&self, time: EventTime) -> i64 {
        time.nanos().div_euclid((self.config.rare_after.nanos() / PARTS).max(1))
    }

    /// Takes over the names under which templates go on.
    fn rename(&mut self) {
        let renamed = self.miner.take_renamed();
        for (old, new) in &renamed {
            if self.seeded.contains(old) {
                self.seeded.insert(*new);
            }
            for (number, service) in (0..).zip(&mut self.services) {
                if let Some(part) = service.known.remove(old) {
                    let is = |told: &Told, id: Id| told.service == number && told.template == id;
                    let other = service.known.contains_key(new);
                    let recent = self.recent.iter().any(|told| is(told, *new));
                    if other && !recent {
                        // A part of it was known for long, so all of it is.
                        self.recent.retain(|told| !is(told, *old));
                    } else if other && !self.recent.iter().any(|told| is(told, *old)) {
                        self.recent.retain(|told| !is(told, *new));
                    }
                    self.recent
                        .iter_mut()
                        .filter(|told| is(told, *old))
                        .for_each(|told| told.template = *new);
                    let known = service.known.entry(*new).or_insert(part);
                    *known = part.max(*known);
                }
            }
            for pending in &mut self.pending {
                if pending.template == *old {
                    pending.template = *new;
                }
            }
        }
        self.learned |= !renamed.is_empty();
        self.renamed.extend(renamed);
    }

    /// Notes that a service wrote a template. True when it is new there.
    fn note(&mut self, number: u32, template: Id, event: &Event) -> bool {
        let time = event.time();
        let part = self.part(time);
        let (warm_up, max) = (self.config.warm_up, self.config.max);
        let Some(service) = self.services.get_mut(number as usize) else { return false };
        service.first = service.first.min(time);
        let warm = time.since(service.first) >= warm_up;
        let mut before = None;
        let (kind, quiet) = if let Some(known) = service.known.get_mut(&template) {
            let parts = part - *known;
            before = Some(*known);
            if parts > 0 {
                *known = part;
                self.learned = true;
            }
            if parts < PARTS {
                return false;
            }
            let quiet = Span::from_nanos(self.config.rare_after.nanos() / PARTS * parts);
            (FindingKind::RareTemplate, quiet)
        } else {
            if service.known.len() >= max {
                forget(&mut service.known);
            }
            service.known.insert(template, part);
            self.learned = true;
            if self.seeded.contains(&template) {
                return false;
            }
            (FindingKind::NewTemplate, Span::ZERO)
        };
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Told { time, service: number, template, before });
        if !warm {
            return false;
        }
        if self.pending.len() >= PENDING_MAX {
            self.untold += 1;
        } else {
            let evidence = Evidence::of_event(event);
            let due = time.max(self.counts.watermark()) + Span::from_nanos(1);
            let key = key_of(event);
            let pending = Pending { kind, service: number, template, quiet, evidence, key, due };
            self.pending.push(pending);
        }
        kind == FindingKind::NewTemplate
    }

    fn tell(&mut self, out: &mut Emit) {
        for pending in std::mem::take(&mut self.pending) {
            let Pending { kind, service, template, quiet, evidence, key, due } = pending;
            let name = self.services.get(service as usize).and_then(|service| service.name.clone());
            let pattern = self.miner.pattern(template).unwrap_or_default().to_owned();
            let error = evidence.level.is_some_and(Level::is_error);
            let severity = match (kind, evidence.level) {
                (FindingKind::NewTemplate, _) if error => Severity::Medium,
                (FindingKind::NewTemplate, Some(Level::Warn)) => Severity::Low,
                _ if error => Severity::Low,
                _ => Severity::Info,
            };
            let who = name.as_deref().unwrap_or("entries without a service");
            let title = match kind {
                FindingKind::NewTemplate => format!("{who}: never seen before: {pattern}"),
                _ => format!("{who}: seen again after {}: {pattern}", rounded(quiet)),
            };
            let fingerprint =
                Id::of(&[kind.name(), name.as_deref().unwrap_or_default(), &template.to_string()]);
            let at = evidence.timestamp;
            let mut finding = Finding::new(kind, severity, title, at, fingerprint);
            finding.service = name;
            finding.key = key;
            finding.data.insert("template".to_owned(), json!(template));
            finding.data.insert("pattern".to_owned(), json!(pattern));
            if quiet > Span::ZERO {
                finding.data.insert("quiet_ms".to_owned(), json!(quiet.nanos() / 1_000_000));
            }
            finding.evidence = vec![evidence];
            self.told += 1;
            out.finding(due, at, finding);
        }
    }

    fn count(&mut self, watermark: EventTime, out: &mut Emit) {
        let closed = self.counts.close(watermark);
        if closed.is_empty() {
            return;
        }
        let renamed = std::mem::take(&mut self.renamed);
        let mut windows: HashMap<(EventTime, u32, Id), Count> = HashMap::new();
        for (start, (service, template), count) in closed {
            // What was counted before it was found to be of a wider template is counted with it.
            let all = windows.entry((start, service, self.miner.renamed(template))).or_default();
            all.messages += count.messages;
            all.levels.merge(&count.levels);
            if all.example.is_empty() {
                all.example = count.example;
            }
        }
        let mut windows: Vec<_> = windows.into_iter().collect();
        windows.sort_by_key(|(key, _)| *key);
        for ((start, service, template), count) in windows {
            let name = self.services.get(service as usize).and_then(|service| service.name.clone());
            let pattern = self.miner.pattern(template).unwrap_or_default().to_owned();
            let id = Id::of(&[
                "template",
                &template.to_string(),
                name.as_deref().unwrap_or_default(),
                &start.nanos().to_string(),
            ]);
            let record = TemplateCount {
                kind_of_record: "template",
                id,
                template,
                pattern,
                service: name,
                start,
                window_ms: u64::try_from(self.config.window.nanos() / 1_000_000).unwrap_or(0),
                count: count.messages,
                levels: count.levels,
                example: count.example,
                renamed: renamed.iter().filter(|(_, new)| *new == template).map(|(old, _)| *old).collect(),
            };
            out.record(start + self.config.window, Record::Template(Box::new(record)));
        }
    }
}

/// Bytes of an example.
const EXAMPLE_MAX: usize = 512;

/// Looks a service up without owning its name.
struct NameRef<'a>(Option<&'a str>);

impl std::hash::Hash for NameRef<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl hashbrown::Equivalent<Option<String>> for NameRef<'_> {
    fn equivalent(&self, key: &Option<String>) -> bool {
        self.0 == key.as_deref()
    }
}

/// Lets the older half go.
fn forget(known: &mut HashMap<Id, i64>) {
    let mut parts: Vec<i64> = known.values().copied().collect();
    let middle = parts.len() / 2;
    let (_, median, _) = parts.select_nth_unstable(middle);
    let median = *median;
    let before = known.len();
    known.retain(|_, part| *part > median);
    if known.len() == before || known.is_empty() {
        known.clear();
    }
}

/// The request that an event names or was attributed to.
fn key_of(event: &Event) -> Option<Key> {
    let own = [KeyKind::Correlation, KeyKind::Trace].into_iter().find_map(|kind| {
        event.key(kind).filter(|value| !value.is_empty()).map(|value| (kind, value.to_owned()))
    });
    let (kind, value) =
        own.or_else(|| event.attribution().map(|attribution| (attribution.kind, attribution.value.clone())))?;
    Some(Key { kind: kind.name().to_owned(), value })
}

/// A span in its largest unit.
fn rounded(span: Span) -> String {
    let minutes = span.nanos() / 60_000_000_000;
    match minutes {
        0 => format!("{}s", span.nanos() / 1_000_000_000),
        1..=119 => format!("{minutes}m"),
        120..=2879 => format!("{}h", minutes / 60),
        _ => format!("{}d", minutes / 1440),
    }
}

impl Operator for Templates {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn on_event(&mut self, mut event: Event, out: &mut Emit) {
        let mut message = Cow::Borrowed(event.message());
        for mask in &self.masks {
            if let Cow::Owned(masked) = mask.replace_all(&message, "0") {
                message = Cow::Owned(masked);
            }
        }
        let seen = self.miner.add(&message, event.time());
        let template = self.miner.template(seen.template).map(|template| template.id).unwrap_or_default();
        if self.miner.has_renamed() {
            self.rename();
        }
        let number = self.service(&event);
        let new = self.note(number, template, &event);
        if let Some(count) = self.counts.counter(event.time(), (number, template)) {
            count.messages += 1;
            count.levels.add(event.row().level);
            if count.example.is_empty() {
                count.example = event.message().chars().take(EXAMPLE_MAX).collect();
            }
        }
        event.set_template(template, new);
        out.event(event);
    }

    fn on_watermark(&mut self, watermark: EventTime, out: &mut Emit) {
        if !self.pending.is_empty() {
            self.tell(out);
        }
        self.count(watermark, out);
    }

    /// The oldest open window, and what waits to be told.
    fn hold(&self) -> EventTime {
        let pending = self.pending.iter().map(|pending| pending.evidence.timestamp).min();
        let window = self.counts.oldest();
        pending.into_iter().chain(window).min().unwrap_or(EventTime::MAX)
    }

    fn learned(&mut self, since: EventTime) -> Option<String> {
        let recent = self.recent.len();
        self.recent.retain(|told| told.time >= since);
        // What was left out before may be known by now.
        if !std::mem::take(&mut self.learned) && self.recent.len() == recent {
            return None;
        }
        self.to_text()
    }

    fn recall(&mut self, learned: &str) -> bool {
        self.take_text(learned)
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("templates", self.miner.len() as u64);
        report("bytes", self.miner.bytes() as u64);
        report("evicted_total", self.miner.evicted());
        report("services", self.services.len() as u64);
        report("told_total", self.told);
        report("untold_total", self.untold);
        report("late_total", self.counts.late);
        report("windows_refused_total", self.counts.refused);
    }
}

impl Component for Templates {
    type Config = Config;
    const NAME: &'static str = "templates";
    const DOCS: &'static str = include_str!("README.md");

    fn build(config: Config, context: &mut Context<'_>) -> Result<Self, ConfigError> {
        ensure(config.warm_up >= Span::ZERO, "warm_up", "must not be negative; try `10m`")?;
        ensure(config.rare_after > Span::ZERO, "rare_after", "must be longer than zero; try `1h`")?;
        ensure(config.window > Span::ZERO, "window", "must be longer than zero; try `1m`")?;
        ensure((1..=1_000_000).contains(&config.max), "max", "must be from 1 to 1000000; try `10000`")?;
        ensure(config.memory.as_usize() >= 1 << 20, "memory", "must be at least `1MiB`; try `64MiB`")?;
        let mut masks = Vec::new();
        for (at, mask) in config.masks.iter().enumerate() {
            let path = format!("masks.{at}");
            masks.push(Regex::new(mask).map_err(|error| {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                ConfigError::new(&path, format!("`{path}` is not a regular expression: {why}"))
            })?);
        }
        let limits = Limits { templates_max: config.max, bytes_max: config.memory.as_usize() };
        let seeds = seed::Seeds::read(&config, context.read)?;
        let mut templates = Self {
            masks,
            miner: Miner::new(limits),
            seeded: HashSet::new(),
            services: Vec::new(),
            by_name: HashMap::new(),
            counts: Tumbling::new(config.window, OPEN_MAX),
            pending: Vec::new(),
            recent: VecDeque::new(),
            renamed: Vec::new(),
            told: 0,
            untold: 0,
            learned: false,
            config,
        };
        templates.sow(seeds);
        Ok(templates)
    }
}
