//! The one place that knows every component.

use logbraid_core::component::{ConfigError, OperatorSpec};
use logbraid_sinks::{Context, SinkSpec};
use serde_json::Value;

use crate::render::View;
use logbraid_parse::Settings;

/// The components that configurations can name.
#[derive(Clone, Copy)]
pub struct Registry {
    /// The operators.
    pub operators: &'static [OperatorSpec],
    /// The sinks.
    pub sinks: &'static [SinkSpec],
}

impl Registry {
    /// Everything that this program has.
    pub const ALL: Self = Self { operators: logbraid_operators::OPERATORS, sinks: logbraid_sinks::SINKS };
}

/// Reads and checks the section `parse`.
pub(crate) fn parse_settings(value: &Value) -> Result<Settings, ConfigError> {
    let settings: Settings = logbraid_core::component::settings(value)?;
    settings.compile()?;
    Ok(settings)
}

/// Largest file that a setting may name.
const SETTING_BYTES_MAX: u64 = 64 << 20;

/// Reads a file that a setting names.
pub(crate) fn read_file(path: &str) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, SETTING_BYTES_MAX + 1), &mut bytes)?;
    if bytes.len() as u64 > SETTING_BYTES_MAX {
        let message = format!("it is larger than {}", logbraid_core::ByteSize::from_bytes(SETTING_BYTES_MAX));
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// What sinks may look at when they are built: the time of day, how records are drawn for people, and
/// how requests become spans.
pub fn sink_context(
    now: std::sync::Arc<dyn Fn() -> logbraid_core::EventTime + Send + Sync>,
    view: View,
) -> Context {
    let pretty: logbraid_sinks::MakeEncode = std::sync::Arc::new(move || {
        Box::new(move |record, out| out.extend_from_slice(view.record(record).as_bytes()))
    });
    let spans: logbraid_sinks::Spans = std::sync::Arc::new(logbraid_query::export::resource_spans);
    Context { now, pretty: Some(pretty), spans: Some(spans) }
}

/// Checks a sink's settings by building it; building touches nothing outside. True when it stores the positions of the
/// source together with its records.
pub(crate) fn check_sink(spec: &SinkSpec, value: &Value) -> Result<bool, ConfigError> {
    let view = View::new(View::WIDTH_DEFAULT, crate::render::text::Style::PLAIN);
    let context = sink_context(std::sync::Arc::new(|| logbraid_core::EventTime::MIN), view);
    (spec.build)(value, &context).map(|sink| sink.commits_offsets())
}
