//! Findings: what is worth a look, and the entries that show it.

use serde::Serialize;

use super::SourceRef;
use crate::event::{Event, Row};
use crate::group::{Group, Key};
use crate::id::Id;
use crate::level::Level;
use crate::time::EventTime;

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

impl Severity {
    /// The severity's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
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
