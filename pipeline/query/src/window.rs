//! What questions are asked of: a snapshot of the index, cut to a range of event time.

use std::sync::Arc;

use clap::ValueEnum;
use logbraid_core::EventTime;
use logbraid_index::{Column, Filter, View};
use logbraid_parse::Customs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an id stands for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum IdKind {
    /// A span.
    Span,
    /// A thread, process or goroutine.
    Thread,
    /// A correlation or request id.
    #[value(alias = "correlation_id")]
    Correlation,
    /// A trace.
    Trace,
}

impl IdKind {
    /// The column that holds such ids.
    pub const fn column(self) -> Column {
        match self {
            Self::Span => Column::Span,
            Self::Thread => Column::Thread,
            Self::Correlation => Column::Correlation,
            Self::Trace => Column::Trace,
        }
    }
    /// Its name, as documents carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Span => "span_id",
            Self::Thread => "thread_id",
            Self::Correlation => "correlation_id",
            Self::Trace => "trace_id",
        }
    }
}

/// A snapshot, and the range of it that is asked about.
#[derive(Debug, Clone)]
pub struct Window {
    view: Arc<View>,
    from: EventTime,
    to: EventTime,
    now: EventTime,
    live: bool,
    formats: Arc<Formats>,
}

/// Formats that users defined, as questions about formats show them.
#[derive(Debug, Clone, Default)]
pub struct Formats {
    /// The configuration file, if there is one.
    pub file: Option<String>,
    /// The formats by name, in the order of the file.
    pub custom: Customs,
}

impl Window {
    /// All of `view`. `now` is what spans before now are measured from: the time of day for a live window, the newest
    /// entry of files.
    pub fn new(view: Arc<View>, now: EventTime, live: bool) -> Self {
        let formats = Arc::default();
        Self { view, from: EventTime::MIN, to: EventTime::MAX, now, live, formats }
    }
    /// With formats that users defined.
    #[must_use]
    pub fn with_formats(mut self, formats: Arc<Formats>) -> Self {
        self.formats = formats;
        self
    }
    /// Formats that users defined.
    pub fn formats(&self) -> &Formats {
        &self.formats
    }
    /// Cut to entries from `from` on and before `to`.
    #[must_use]
    pub fn between(mut self, from: EventTime, to: EventTime) -> Self {
        self.from = self.from.max(from);
        self.to = self.to.min(to);
        self
    }
    /// The snapshot, not cut.
    pub fn view(&self) -> &View {
        &self.view
    }
    /// The snapshot, for those who keep it longer than the window.
    pub fn shared(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }
    /// First moment asked about; [`EventTime::MIN`] for no bound.
    pub const fn from(&self) -> EventTime {
        self.from
    }
    /// The moment at which the range ends, itself not in it; [`EventTime::MAX`] for no bound.
    pub const fn to(&self) -> EventTime {
        self.to
    }
    /// Now.
    pub const fn now(&self) -> EventTime {
        self.now
    }
    /// True when more entries may come.
    pub const fn is_live(&self) -> bool {
        self.live
    }
    /// A filter for entries of the range; everything a question scans begins with it.
    pub fn filter(&self) -> Filter {
        Filter::default().from(self.from).before(self.to)
    }
    /// The event time up to which answers are complete; none when the input has ended, and all of it is known.
    pub fn complete_through(&self) -> Option<EventTime> {
        let through = self.view.complete_through();
        (through != EventTime::MAX).then_some(through)
    }
    /// The event time before which entries may be missing, because they expired or did not fit into memory; none when
    /// everything that came is still there.
    pub fn complete_from(&self) -> Option<EventTime> {
        let from = self.view.covers().0;
        (from != EventTime::MIN).then_some(from)
    }
    /// What `id` is: the first of span, thread, correlation and trace under which any entry of the range carries it.
    pub fn kind_of(&self, id: &str) -> Option<IdKind> {
        [IdKind::Span, IdKind::Thread, IdKind::Correlation, IdKind::Trace]
            .into_iter()
            .find(|kind| self.view.scan(&self.filter().is(kind.column(), id)).next().is_some())
    }
}
