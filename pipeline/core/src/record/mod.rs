//! Records: what leaves logbraid, one JSON object a line, `type` first.

mod entry;
mod finding;
mod place;
mod reject;
mod timeline;

use serde::{Serialize, Serializer};

use crate::event::{Event, Flags};
use crate::group::Group;
use crate::id::Id;
use crate::kept::{Sample, TemplateCount};

pub use finding::{Evidence, Finding, FindingKind, Severity};
pub use place::SourceRef;
pub use reject::{Reason, Reject, RejectHeader};
pub use timeline::DEPTH_MAX;

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
            Self::Entry(event) => entry::serialize_entry(event, serializer),
            Self::Timeline(group) => timeline::serialize_timeline(group, serializer),
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
