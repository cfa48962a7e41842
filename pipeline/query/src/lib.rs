//! The questions that a window answers: a folder each, and each a pure function of a snapshot. No I/O, no clock.
//!
//! ```text
//!  command line ─ clap ──┐                       ┌─► JSON document, cut to a budget
//!  HTTP ─ query string ──┼─► Request ─► ask(&Window) ─► Answer ─► drawing for people
//!  library, Python ──────┘                       └─► a form of its own (NDJSON, an export)
//! ```
//!
//! One request type serves all doors. A [`Window`] is a [`View`](logbraid_index::View) cut to a range of event time.

mod count;
mod draw;
mod entry;
mod error;
mod exclude;
mod moment;
mod question;
mod request;
mod select;
#[cfg(test)]
mod testing;
mod window;

pub mod bottleneck;
pub mod budget;
pub mod compare;
pub mod context;
pub mod correlate;
pub mod correlate_events;
pub mod correlation;
pub mod detect;
pub mod diff;
pub mod emit;
pub mod error_flow;
pub mod export;
pub mod format;
pub mod hierarchy;
pub mod ids;
pub mod investigate;
pub mod metrics;
pub mod patterns;
pub mod sample;
pub mod schema;
pub mod search;
pub mod sql;
pub mod stats;
pub mod summarize;
pub mod templates;
pub mod text;
pub mod threads;
pub mod timeline;
pub mod triage;
pub mod verify_pattern;
pub mod view;

pub use count::{ByLevel, Counted, InOrder, KindSummary};
pub use draw::View as Drawing;
pub use entry::Entry;
pub use error::QuestionError;
pub use exclude::Narrow;
pub use moment::moment;
pub use question::{Answered, Asked, Canvas, Documents, Question, QuestionSpec, Reply, Written};
pub use request::{Ids as RequestIds, Of};
pub use select::{LevelSelect, Select, TextMatch};
pub use window::{Formats, IdKind, Window};

/// Every question, in the order of the manual.
pub const QUESTIONS: &[QuestionSpec] = &[
    QuestionSpec::of::<search::Search>(),
    QuestionSpec::of::<context::Context>(),
    QuestionSpec::of::<ids::Ids>(),
    QuestionSpec::of::<schema::Schema>(),
    QuestionSpec::of::<stats::Stats>(),
    QuestionSpec::of::<detect::Detect>(),
    QuestionSpec::of::<format::list::List>(),
    QuestionSpec::of::<format::test::Test>(),
    QuestionSpec::of::<format::validate::Validate>(),
    QuestionSpec::of::<emit::Emit>(),
    QuestionSpec::of::<correlate::Correlate>(),
    QuestionSpec::of::<timeline::Timeline>(),
    QuestionSpec::of::<threads::Threads>(),
    QuestionSpec::of::<hierarchy::Hierarchy>(),
    QuestionSpec::of::<bottleneck::Bottleneck>(),
    QuestionSpec::of::<error_flow::Flow>(),
    QuestionSpec::of::<compare::Compare>(),
    QuestionSpec::of::<export::Export>(),
    QuestionSpec::of::<sql::Sql>(),
    QuestionSpec::of::<investigate::Investigate>(),
    QuestionSpec::of::<view::View>(),
    QuestionSpec::of::<triage::Triage>(),
    QuestionSpec::of::<summarize::Summarize>(),
    QuestionSpec::of::<templates::Templates>(),
    QuestionSpec::of::<patterns::Patterns>(),
    QuestionSpec::of::<metrics::Metrics>(),
    QuestionSpec::of::<diff::Diff>(),
    QuestionSpec::of::<verify_pattern::VerifyPattern>(),
    QuestionSpec::of::<correlate_events::CorrelateEvents>(),
    QuestionSpec::of::<sample::Sample>(),
    QuestionSpec::of::<correlation::list::List>(),
    QuestionSpec::of::<correlation::run::Run>(),
];

/// The question called `name`; one with sub-commands is called by both words, as in `correlation run`.
pub fn question(name: &str) -> Option<&'static QuestionSpec> {
    QUESTIONS.iter().find(|spec| spec.name == name)
}
