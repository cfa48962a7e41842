//! What a record is about, for formats that say so beside it.

use logbraid_core::{EventTime, Level, Outcome, Record, Severity};

/// What a record is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    /// When it happened; unknown where it has no time.
    pub(crate) time: EventTime,
    pub(crate) service: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
    pub(crate) level: Option<Level>,
}

impl<'a> About<'a> {
    pub(crate) fn of(record: &'a Record) -> Self {
        let none = Self { time: EventTime::MIN, service: None, host: None, level: None };
        match record {
            Record::Entry(event) => Self {
                time: event.time(),
                service: event.service(),
                host: event.host(),
                level: event.row().level,
            },
            Record::Timeline(group) => Self {
                time: group.start(),
                service: group.services().first().copied(),
                level: (group.outcome() == Outcome::Error).then_some(Level::Error),
                ..none
            },
            Record::Finding(finding) => Self {
                time: finding.at,
                service: finding.service.as_deref(),
                level: Some(level(finding.severity)),
                ..none
            },
            Record::Sample(sample) => {
                Self { time: sample.time, service: sample.service.as_deref(), level: sample.level, ..none }
            }
            Record::Template(_) | Record::Reject(_) | Record::Stats(_) => none,
        }
    }
}

/// The level of a log line that says the same as a finding of this severity.
pub(crate) const fn level(severity: Severity) -> Level {
    match severity {
        Severity::Info => Level::Info,
        Severity::Low | Severity::Medium => Level::Warn,
        Severity::High => Level::Error,
        Severity::Critical => Level::Fatal,
    }
}

/// The type of a record, as it names itself.
pub(crate) fn kind(record: &Record) -> &'static str {
    match record {
        Record::Entry(_) => "entry",
        Record::Timeline(_) => "timeline",
        Record::Finding(_) => "finding",
        Record::Sample(_) => "sample",
        Record::Template(_) => "template",
        Record::Reject(_) => "reject",
        Record::Stats(_) => "stats",
    }
}
