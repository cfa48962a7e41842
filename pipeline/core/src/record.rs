//! Records: what leaves logbraid, one JSON object a line, `type` first.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use std::cell::Cell;

use crate::event::{Event, Flags, Position, Row, Source, TimeFrom};
use crate::group::{Group, Key, Phase};
use crate::id::Id;
use crate::kept::{Sample, TemplateCount};
use crate::level::Level;
use crate::tags::OwnTags;
use crate::time::EventTime;
use crate::tree::{Hierarchy, Node};

/// Everything that sinks can be given.
#[derive(Clone, Debug)]
pub enum Record {
    /// A log record, normalised.
    Entry(Event),
    /// A request.
    Timeline(Box<Group>),
    /// Something worth a look.
    Finding(Box<Finding>),
    /// An entry that was kept, and how many it stands for.
    Sample(Box<Sample>),
    /// How often a template was seen.
    Template(Box<TemplateCount>),
    /// A record that could not be used.
    Reject(Box<Reject>),
    /// Counters of the run.
    Stats(Box<Stats>),
}

/// The types of records, as `take` and `--emit` name them.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    /// Log records.
    Entries,
    /// Requests.
    Timelines,
    /// Things worth a look.
    Findings,
    /// Entries that were kept, with what they stand for.
    Samples,
    /// How often templates were seen.
    Templates,
    /// Records that could not be used.
    Rejects,
    /// Records that came after their window had closed.
    Late,
    /// Counters of the run.
    Stats,
}

impl RecordKind {
    /// Every type.
    pub const ALL: [Self; 8] = [
        Self::Entries,
        Self::Timelines,
        Self::Findings,
        Self::Samples,
        Self::Templates,
        Self::Rejects,
        Self::Late,
        Self::Stats,
    ];
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Timelines => "timelines",
            Self::Findings => "findings",
            Self::Samples => "samples",
            Self::Templates => "templates",
            Self::Rejects => "rejects",
            Self::Late => "late",
            Self::Stats => "stats",
        }
    }
}

impl std::str::FromStr for RecordKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text || kind.name().trim_end_matches('s') == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("`{text}` is not a type of record; there are {names}")
            })
    }
}

impl Record {
    /// Its type.
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::Entry(event) if event.flags().has(Flags::LATE) => RecordKind::Late,
            Self::Entry(_) => RecordKind::Entries,
            Self::Timeline(_) => RecordKind::Timelines,
            Self::Finding(_) => RecordKind::Findings,
            Self::Sample(_) => RecordKind::Samples,
            Self::Template(_) => RecordKind::Templates,
            Self::Reject(_) => RecordKind::Rejects,
            Self::Stats(_) => RecordKind::Stats,
        }
    }
    /// Its id; the same record has the same id in every run.
    pub fn id(&self) -> Id {
        match self {
            Self::Entry(event) => event.id(),
            Self::Timeline(group) => group.id,
            Self::Finding(finding) => finding.id,
            Self::Sample(sample) => sample.id,
            Self::Template(template) => template.id,
            Self::Reject(reject) => reject.id,
            Self::Stats(_) => Id::default(),
        }
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Entry(event) => serialize_entry(event, serializer),
            Self::Timeline(group) => serialize_timeline(group, serializer),
            Self::Finding(finding) => finding.serialize(serializer),
            Self::Sample(sample) => sample.serialize(serializer),
            Self::Template(template) => template.serialize(serializer),
            Self::Reject(reject) => reject.serialize(serializer),
            Self::Stats(stats) => stats.serialize(serializer),
        }
    }
}

/// Milliseconds as a JSON number, without a fraction where there is none.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Default)]
pub struct Millis(pub f64);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rounded = (self.0 * 1e6).round() / 1e6;
        if rounded.fract() == 0.0 && rounded.abs() < 9e15 {
            #[expect(clippy::cast_possible_truncation, reason = "whole and within i64, checked above")]
            serializer.serialize_i64(rounded as i64)
        } else {
            serializer.serialize_f64(rounded)
        }
    }
}

/// Where a record was read.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct SourceRef {
    /// The input.
    pub input: String,
    /// The line, where lines are counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub line: u64,
    /// The byte where the record begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// The Kafka topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The Kafka partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// The Kafka offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(line: &u64) -> bool {
    *line == 0
}

impl SourceRef {
    /// Where `row` of `source` was read.
    pub fn new(source: &Source, row: &Row) -> Self {
        let mut place = Self {
            input: source.name.clone(),
            line: row.line,
            byte: None,
            topic: None,
            partition: None,
            offset: None,
        };
        match &source.position {
            Position::Line => place.byte = Some(row.offset),
            Position::Row => {}
            Position::Log => place.offset = Some(row.offset),
            Position::Kafka { topic, partition } => {
                place.topic = Some(topic.clone());
                place.partition = Some(*partition);
                place.offset = Some(row.offset);
            }
        }
        place
    }
}

struct Place<'a>(&'a Source, &'a Row);

impl Serialize for Place<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("input", &self.0.name)?;
        if self.1.line > 0 {
            map.serialize_entry("line", &self.1.line)?;
        }
        match &self.0.position {
            Position::Line => map.serialize_entry("byte", &self.1.offset)?,
            Position::Row => {}
            Position::Log => map.serialize_entry("offset", &self.1.offset)?,
            Position::Kafka { topic, partition } => {
                map.serialize_entry("topic", topic)?;
                map.serialize_entry("partition", partition)?;
                map.serialize_entry("offset", &self.1.offset)?;
            }
        }
        map.end()
    }
}

struct Names(Flags);

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.names())
    }
}

fn serialize_entry<S: Serializer>(event: &Event, serializer: S) -> Result<S::Ok, S::Error> {
    let row = event.row();
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("type", "entry")?;
    map.serialize_entry("id", &event.id())?;
    map.serialize_entry("timestamp", &row.time)?;
    map.serialize_entry("timestamp_from", &row.time_from)?;
    let mut text = |name: &'static str, value: Option<&str>| match value {
        Some(value) => map.serialize_entry(name, value),
        None => Ok(()),
    };
    text("level", row.level.map(Level::name))?;
    text("message", Some(event.message()))?;
    text("service", event.service())?;
    text("host", event.host())?;
    text("thread_id", event.text(row.thread))?;
    let attributed = |kind| {
        event
            .attribution()
            .filter(|attribution| attribution.kind == kind)
            .map(|attribution| attribution.value.as_str())
    };
    text(
        "correlation_id",
        event.text(row.correlation).or_else(|| attributed(crate::event::KeyKind::Correlation)),
    )?;
    text("trace_id", event.text(row.trace).or_else(|| attributed(crate::event::KeyKind::Trace)))?;
    text("span_id", event.text(row.span))?;
    text("parent_span_id", event.text(row.parent_span))?;
    let fields = event.fields();
    if !fields.is_empty() {
        map.serialize_entry("fields", &fields)?;
    }
    map.serialize_entry("format", &row.format)?;
    if event.template() != Id::default() {
        map.serialize_entry("template", &event.template())?;
    }
    map.serialize_entry("source", &Place(event.source(), row))?;
    if event.flags().names().next().is_some() {
        map.serialize_entry("flags", &Names(event.flags()))?;
    }
    if let Some(attribution) = event.attribution() {
        map.serialize_entry("confidence", &(f64::from(attribution.confidence) / 100.0))?;
    }
    map.end()
}

fn serialize_timeline<S: Serializer>(group: &Group, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("type", "timeline")?;
    map.serialize_entry("id", &group.id)?;
    map.serialize_entry("revision", &group.revision)?;
    map.serialize_entry("key", &group.key)?;
    map.serialize_entry("ids", &Ids(&group.ids))?;
    map.serialize_entry("start", &group.start())?;
    map.serialize_entry("end", &group.end())?;
    map.serialize_entry("duration_ms", &Millis(group.duration().millis()))?;
    if let Phase::Closed(by) = group.phase {
        map.serialize_entry("closed_by", &by)?;
    }
    map.serialize_entry("outcome", &group.outcome())?;
    map.serialize_entry("services", &group.services())?;
    map.serialize_entry("entries", &group.entries())?;
    map.serialize_entry("omitted", &group.omitted)?;
    map.serialize_entry("levels", &group.levels)?;
    map.serialize_entry("events", &Events(group))?;
    if let Some(parent) = group.parents.first() {
        map.serialize_entry("parent_key", parent)?;
    }
    if !group.children.is_empty() {
        map.serialize_entry("child_keys", &group.children)?;
    }
    if let Some(tree) = &group.hierarchy {
        map.serialize_entry("hierarchy", &Tree(tree))?;
    }
    if let Some(flow) = &group.error_flow {
        map.serialize_entry("error_flow", flow)?;
    }
    if let Some(sampled) = &group.sampled {
        map.serialize_entry("sampled", sampled)?;
    }
    map.end()
}

struct Ids<'a>(&'a [(String, Vec<String>)]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(kind, values)| (kind, values)))
    }
}

struct Events<'a>(&'a Group);

impl Serialize for Events<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stamp = Cell::new((EventTime::MIN, [0; 30]));
        serializer.collect_seq(self.0.rows.iter().map(|row| GroupEvent(self.0, row, &stamp)))
    }
}

/// One entry of a timeline.
struct GroupEvent<'a>(&'a Group, &'a Row, &'a Cell<Stamp>);

/// The last time that was written, and how: entries that follow each other share most of it.
type Stamp = (EventTime, [u8; 30]);

impl Serialize for GroupEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(group, row, stamp) = *self;
        let mut map = serializer.serialize_map(None)?;
        let (last, mut text) = stamp.get();
        map.serialize_entry("timestamp", row.time.write_rfc3339_after(last, &mut text))?;
        stamp.set((row.time, text));
        map.serialize_entry("relative_ms", &Millis(row.time.since(group.start()).millis()))?;
        if let Some(service) = group.service(row) {
            map.serialize_entry("service", service)?;
        }
        if let Some(thread) = group.get(row.thread) {
            map.serialize_entry("thread_id", thread)?;
        }
        if let Some(span) = group.get(row.span) {
            map.serialize_entry("span_id", span)?;
        }
        if let Some(level) = row.level {
            map.serialize_entry("level", level.name())?;
        }
        map.serialize_entry("message", group.message(row))?;
        if row.time_from != TimeFrom::Event {
            map.serialize_entry("timestamp_from", &row.time_from)?;
        }
        if row.flags.names().next().is_some() {
            map.serialize_entry("flags", &Names(row.flags))?;
        }
        if row.flags.has(Flags::ATTRIBUTED) {
            map.serialize_entry("confidence", &(f64::from(row.confidence) / 100.0))?;
        }
        if let Some(source) = group.source(row) {
            map.serialize_entry("source", &Place(source, row))?;
        }
        map.end()
    }
}

struct Tree<'a>(&'a Hierarchy);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tree = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("roots", &Nodes(tree, &tree.roots))?;
        map.serialize_entry("nodes", &tree.nodes.len())?;
        map.serialize_entry("depth", &tree.depth())?;
        map.serialize_entry("methods", &Methods(tree))?;
        let path: Vec<&str> = tree
            .critical_path
            .iter()
            .filter_map(|at| tree.nodes.get(*at))
            .map(|node| node.id.as_str())
            .collect();
        map.serialize_entry("critical_path", &path)?;
        if let Some(bottleneck) = &tree.bottleneck {
            map.serialize_entry("bottleneck", &BottleneckView(bottleneck))?;
        }
        map.serialize_entry("concurrency_max", &tree.concurrency_max)?;
        if tree.missing_parents > 0 {
            map.serialize_entry("missing_parents", &tree.missing_parents)?;
        }
        if !tree.cycles_cut.is_empty() {
            map.serialize_entry("cycles_cut", &tree.cycles_cut)?;
        }
        map.end()
    }
}

struct BottleneckView<'a>(&'a crate::tree::Bottleneck);

impl Serialize for BottleneckView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("node", &self.0.node)?;
        map.serialize_entry("self_ms", &Millis(self.0.self_ms))?;
        map.serialize_entry("share", &((self.0.share * 10_000.0).round() / 10_000.0))?;
        map.end()
    }
}

struct Methods<'a>(&'a Hierarchy);

impl Serialize for Methods<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.methods.iter().map(|(method, count)| (method.name(), count)))
    }
}

struct Nodes<'a>(&'a Hierarchy, &'a [usize]);

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Chains deeper than this would overflow the stack of whoever reads them, too.
        let mut seq = serializer.serialize_seq(None)?;
        for at in self.1 {
            if let Some(node) = self.0.nodes.get(*at) {
                seq.serialize_element(&NodeView(self.0, node))?;
            }
        }
        seq.end()
    }
}

/// Deepest layer that is written out nested; what lies below is counted in `hidden`.
pub const DEPTH_MAX: usize = 60;

struct NodeView<'a>(&'a Hierarchy, &'a Node);

impl Serialize for NodeView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(tree, node) = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &node.id)?;
        map.serialize_entry("kind", &node.kind)?;
        if let Some(name) = &node.name {
            map.serialize_entry("name", name)?;
        }
        if let Some(service) = &node.service {
            map.serialize_entry("service", service)?;
        }
        map.serialize_entry("start", &node.start)?;
        map.serialize_entry("end", &node.end)?;
        map.serialize_entry("duration_ms", &Millis(node.duration_ms))?;
        map.serialize_entry("self_ms", &Millis(node.self_ms))?;
        map.serialize_entry("entries", &node.entries)?;
        map.serialize_entry("errors", &node.errors)?;
        map.serialize_entry("levels", &node.levels)?;
        map.serialize_entry("confidence", &node.confidence)?;
        map.serialize_entry("evidence", &node.evidence)?;
        if node.depth < DEPTH_MAX {
            map.serialize_entry("children", &Nodes(tree, &node.children))?;
        } else {
            map.serialize_entry("children", &[(); 0])?;
            map.serialize_entry("hidden", &node.children.len())?;
        }
        map.end()
    }
}

/// What a finding is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Where an error began and how it spread.
    ErrorFlow,
    /// A service fails more often than it did.
    ErrorBurst,
    /// One node takes most of a request's time.
    Bottleneck,
    /// A template that was never seen before.
    NewTemplate,
    /// A template that is seldom seen.
    RareTemplate,
    /// A number far from its past.
    MetricAnomaly,
    /// A request that did not finish, or whose parts are missing.
    Incomplete,
    /// The same call is tried again and again.
    RetryStorm,
    /// Clocks of two hosts disagree.
    ClockSkew,
}

impl FindingKind {
    /// The kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorFlow => "error_flow",
            Self::ErrorBurst => "error_burst",
            Self::Bottleneck => "bottleneck",
            Self::NewTemplate => "new_template",
            Self::RareTemplate => "rare_template",
            Self::MetricAnomaly => "metric_anomaly",
            Self::Incomplete => "incomplete",
            Self::RetryStorm => "retry_storm",
            Self::ClockSkew => "clock_skew",
        }
    }
}

/// How much a finding matters.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Wake somebody.
    Critical,
}

/// One log record that supports a finding.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Evidence {
    /// When.
    #[schemars(with = "String")]
    pub timestamp: EventTime,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// How severe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What it said.
    pub message: String,
    /// Where it was read.
    pub source: SourceRef,
}

impl Evidence {
    /// An entry of a group as evidence.
    pub fn of_row(group: &Group, row: &Row) -> Option<Self> {
        Some(Self {
            timestamp: row.time,
            service: group.service(row).map(str::to_owned),
            level: row.level,
            message: group.message(row).to_owned(),
            source: SourceRef::new(group.source(row)?, row),
        })
    }
    /// An event as evidence.
    pub fn of_event(event: &Event) -> Self {
        Self {
            timestamp: event.time(),
            service: event.service().map(str::to_owned),
            level: event.row().level,
            message: event.message().to_owned(),
            source: SourceRef::new(event.source(), event.row()),
        }
    }
}

/// Something worth a look.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Finding {
    /// Always `finding`.
    #[serde(rename = "type")]
    pub kind_of_record: &'static str,
    /// The same finding has the same id in every run and revision.
    pub id: Id,
    /// 0 at first, higher when more became known.
    pub revision: u32,
    /// What it is about.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// One sentence.
    pub title: String,
    /// When it began.
    #[schemars(with = "String")]
    pub at: EventTime,
    /// The service it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The request it was seen in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The id of that request's timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Id>,
    /// Equal for findings of one kind and cause.
    pub fingerprint: Id,
    /// How often it was seen in the window.
    pub occurrences: u64,
    /// The log records that show it.
    pub evidence: Vec<Evidence>,
    /// Figures, by kind of finding.
    pub data: serde_json::Map<String, serde_json::Value>,
}

impl Finding {
    /// A finding with everything else empty.
    pub fn new(kind: FindingKind, severity: Severity, title: String, at: EventTime, fingerprint: Id) -> Self {
        Self {
            kind_of_record: "finding",
            id: Id::default(),
            revision: 0,
            kind,
            severity,
            confidence: 1.0,
            title,
            at,
            service: None,
            key: None,
            timeline: None,
            fingerprint,
            occurrences: 1,
            evidence: Vec::new(),
            data: serde_json::Map::new(),
        }
    }
}

/// Why a record could not be used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A format was forced and the line is not in it.
    WrongFormat,
    /// One group's text is full.
    GroupFull,
}

impl Reason {
    /// The reason's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongFormat => "wrong_format",
            Self::GroupFull => "group_full",
        }
    }
}

/// A record that could not be used, with its bytes.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Reject {
    /// Always `reject`.
    #[serde(rename = "type")]
    pub kind_of_record: &'static str,
    /// The same record has the same id in every run.
    pub id: Id,
    /// Why.
    pub reason: Reason,
    /// The record, where it is valid UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The record in base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_base64: Option<String>,
    /// The key that its transport gave it, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key in base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_base64: Option<String>,
    /// The headers that its transport gave it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<RejectHeader>,
    /// Where it was read.
    pub source: SourceRef,
}

/// A header of a record that could not be used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, schemars::JsonSchema)]
pub struct RejectHeader {
    /// Its name; one may come more than once.
    pub name: String,
    /// Its value, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its value in base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
}

/// Bytes as text, or else in base64.
fn text_or_base64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes))),
    }
}

/// The other way round. What is not base64 after all is nothing.
fn bytes_of(text: Option<&str>, base64: Option<&str>) -> Option<Vec<u8>> {
    match (text, base64) {
        (Some(text), _) => Some(text.as_bytes().to_vec()),
        (None, Some(base64)) => base64::Engine::decode(&base64::prelude::BASE64_STANDARD, base64).ok(),
        (None, None) => None,
    }
}

impl Reject {
    /// A rejected event.
    pub fn new(event: &Event, reason: Reason) -> Self {
        let (raw, raw_base64) = text_or_base64(event.raw_bytes());
        let (mut key, mut key_base64, mut headers) = (None, None, Vec::new());
        for tag in event.tags() {
            let (value, value_base64) = tag.value.map(text_or_base64).unwrap_or_default();
            match tag.name {
                None => (key, key_base64) = (value, value_base64),
                Some(name) => headers.push(RejectHeader { name: name.to_owned(), value, value_base64 }),
            }
        }
        Self {
            kind_of_record: "reject",
            id: event.id(),
            reason,
            raw,
            raw_base64,
            key,
            key_base64,
            headers,
            source: SourceRef::new(event.source(), event.row()),
        }
    }
    /// The record's bytes, as they came.
    pub fn bytes(&self) -> Vec<u8> {
        bytes_of(self.raw.as_deref(), self.raw_base64.as_deref()).unwrap_or_default()
    }
    /// Its key and its headers, as they came.
    pub fn tags(&self) -> OwnTags {
        let value = |header: &RejectHeader| bytes_of(header.value.as_deref(), header.value_base64.as_deref());
        OwnTags {
            key: bytes_of(self.key.as_deref(), self.key_base64.as_deref()),
            headers: self.headers.iter().map(|header| (header.name.clone(), value(header))).collect(),
        }
    }
}

/// Counters of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// Always `stats`.
    #[serde(rename = "type")]
    pub kind_of_record: &'static str,
    /// Counters by name.
    #[serde(flatten)]
    pub counters: std::collections::BTreeMap<String, u64>,
}

impl Stats {
    /// Counters as a record.
    pub fn new(counters: std::collections::BTreeMap<String, u64>) -> Self {
        Self { kind_of_record: "stats", counters }
    }
}
