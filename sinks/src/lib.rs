//! The sinks of logbraid, a folder each: they take records and make them durable. They know nothing of operators or
//! sources, and read no clock.
//!
//! ```text
//!  records ─► take: [kinds] ─► encode (NDJSON, or rendered for people) ─► stdout, file, kafka, http, forward, syslog
//! ```

mod about;
mod batch;
pub mod file;
pub mod forward;
pub mod http;
pub mod kafka;
pub mod ndjson;
mod net;
pub mod stdout;
pub mod syslog;
mod take;

use std::sync::Arc;

use logbraid_core::component::{ConfigError, settings};
use logbraid_core::sink::Sink;
use logbraid_core::{EventTime, RecordKind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use batch::Batch;
pub use ndjson::{Encode, MakeEncode};
pub use net::tls::Config as TlsConfig;
pub use take::{Take, Taking};

/// How records are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// Rendered for people.
    Pretty,
}

/// What building a sink may look at.
#[derive(Clone)]
pub struct Context {
    /// The time of day: sinks read no clock of their own.
    pub now: Arc<dyn Fn() -> EventTime + Send + Sync>,
    /// Renders records for people; without it, `format: pretty` is refused.
    pub pretty: Option<MakeEncode>,
    /// Writes requests as spans; without it, they are sent as logs.
    pub spans: Option<Spans>,
}

/// A request as the JSON text of an array of OTLP's `ResourceSpans`; `None` for a request without a tree.
pub type Spans = Arc<dyn Fn(&logbraid_core::Group) -> Option<String> + Send + Sync>;

impl Context {
    /// A new encoder for `format`.
    ///
    /// # Errors
    /// When records cannot be rendered in this format here.
    pub fn encoder(&self, format: Format) -> Result<Encode, ConfigError> {
        match (format, &self.pretty) {
            (Format::Ndjson, _) => Ok(ndjson::encoder()),
            (Format::Pretty, Some(make)) => Ok(make()),
            (Format::Pretty, None) => {
                Err(ConfigError::new("format", "`pretty` is not available here")
                    .help("write `format: ndjson`"))
            }
        }
    }
}

/// A sink that can be configured by name.
pub trait SinkComponent: Sink + Sized + 'static {
    /// Its settings, without `take`, which every sink has.
    type Config: DeserializeOwned + JsonSchema;
    /// Its name in configurations.
    const NAME: &'static str;
    /// Its manual, in Markdown.
    const DOCS: &'static str;
    /// Builds it. Touches nothing outside: a configuration can be checked without being run.
    ///
    /// # Errors
    /// When a setting is wrong.
    fn build(config: Self::Config, context: &Context) -> Result<Self, ConfigError>;
}

/// Builds a sink from its settings, `take` included.
pub type BuildSink = fn(&Value, &Context) -> Result<Box<dyn Sink>, ConfigError>;

/// A sink as the registry lists it.
pub struct SinkSpec {
    /// Its name in configurations.
    pub name: &'static str,
    /// Its manual, in Markdown.
    pub docs: &'static str,
    /// The JSON Schema of its settings, `take` included.
    pub schema: fn() -> schemars::Schema,
    /// Builds it.
    pub build: BuildSink,
}

/// Every sink of this crate.
pub const SINKS: &[SinkSpec] = &[
    SinkSpec::of::<stdout::Stdout>(),
    SinkSpec::of::<file::File>(),
    SinkSpec::of::<kafka::Kafka>(),
    SinkSpec::of::<http::Http>(),
    SinkSpec::of::<forward::Forward>(),
    SinkSpec::of::<syslog::Syslog>(),
];

impl SinkSpec {
    /// The specification of sink `S`.
    pub const fn of<S: SinkComponent>() -> Self {
        Self {
            name: S::NAME,
            docs: S::DOCS,
            schema: schema::<S>,
            build: |value, context| {
                let take = Take::of(value)?;
                let sink = S::build(settings(&without_take(value))?, context)?;
                Ok(Box::new(Taking::new(sink, take)))
            },
        }
    }
}

/// The settings that are the sink's own.
fn without_take(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().filter(|(key, _)| *key != "take").map(|(k, v)| (k.clone(), v.clone())).collect()
        }
        other => other.clone(),
    }
}

fn schema<S: SinkComponent>() -> schemars::Schema {
    let mut root = logbraid_core::schema_of::<S::Config>();
    let names = RecordKind::ALL.map(RecordKind::name);
    let take = serde_json::json!({
        "description": "The types of records that the sink is given.",
        "default": Take::default().kinds().map(RecordKind::name).collect::<Vec<_>>(),
        "anyOf": [{ "type": "array", "items": { "enum": names } }, { "enum": names }],
    });
    let object = root.ensure_object();
    let properties = object.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("take".to_owned(), take);
    }
    root
}

#[cfg(test)]
mod tests;
