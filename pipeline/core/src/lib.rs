//! The words of logbraid's domain: events, groups, records, progress and operators. No I/O, no async runtime, no clock.
//!
//! ```text
//!  Batch of rows ─► Event ─► Operator ─► Operator ─► Record
//!                     ▲        │ on_event, on_group, on_watermark
//!               Watermarks     └─ hold: where a restart must begin
//! ```

pub mod chain;
pub mod component;
pub mod event;
pub mod flow;
pub mod group;
pub mod handover;
mod id;
mod kept;
mod level;
pub mod merge;
pub mod operator;
mod order;
pub mod progress;
mod properties;
pub mod quantity;
pub mod reading;
pub mod record;
mod schema;
mod shared;
pub mod sink;
mod size;
pub mod tags;
pub mod template;
mod time;
pub mod tree;

pub use chain::Chain;
pub use event::{
    Attribution, Batch, Event, FieldId, FieldReader, Fields, Flags, Format, KeyKind, Origin, PartitionId,
    Position, Row, Source, Text, TimeFrom,
};
pub use group::{ClosedBy, Group, Key, Outcome, Phase, Sampled};
pub use id::{Id, IdBuilder};
pub use kept::{Repeats, Sample, TemplateCount, write_original};
pub use level::{Level, LevelCounts};
pub use operator::{Element, Emit, Operator};
pub use order::TimeOrder;
pub use properties::Properties;
pub use record::{Evidence, Finding, FindingKind, Record, RecordKind, Reject, Severity, SourceRef};
pub use schema::schema_of;
pub use shared::Shared;
pub use size::ByteSize;
pub use tags::{OwnTags, Tag, Tags};
pub use time::{EventTime, Span, UnitError, days_from_civil};
