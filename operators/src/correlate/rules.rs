//! The settings of `correlate`, checked and ready to be applied.

use logbraid_core::component::{ConfigError, Context, ensure};
use logbraid_core::{ByteSize, KeyKind, Span};

/// Settings of `correlate`.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The identifiers that hold a request together, the strongest first: `correlation_id`, `trace_id`, `thread_id`,
    /// or the name of a field. An entry belongs to the first that it carries; one that carries several request ids
    /// makes them one request. `thread_id` serves entries without any other.
    pub keys: Vec<String>,
    /// A request ends after this long without an entry.
    pub gap: Span,
    /// A request that has ended by its marker or root span is told after this long without an entry.
    pub settle: Span,
    /// No request is longer than this; longer ones are cut at whole multiples of half of it.
    pub max_span: Span,
    /// Most entries that a timeline tells: its first half, its last quarter, and errors. Others are counted.
    pub max_entries: usize,
    /// Memory for open requests, in bytes; beyond it the oldest are closed early and say so.
    pub memory: ByteSize,
    /// Texts in messages that end a request, such as `request completed`.
    pub end_markers: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: ["correlation_id", "trace_id", "thread_id"].map(str::to_owned).to_vec(),
            gap: Span::from_seconds(30),
            settle: Span::from_seconds(1),
            max_span: Span::from_seconds(600),
            max_entries: 10_000,
            memory: ByteSize::from_bytes(512 << 20),
            end_markers: Vec::new(),
        }
    }
}

/// A kind of key with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyName {
    pub kind: KeyKind,
    pub name: String,
}

/// The settings as the sessions use them.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub keys: Vec<KeyName>,
    pub gap: Span,
    pub settle: Span,
    /// Half of `max_span`: a session is cut at the first whole multiple of it that it reaches older than it.
    pub half_span: Span,
    pub entries_max: usize,
    pub memory_bytes: usize,
    pub end_markers: Vec<String>,
    pub lateness: Span,
    pub tick: Span,
    /// How far before its first entry a request's surroundings can matter: what could join it, and who was at work.
    pub context: Span,
    /// Whether groups keep raw lines.
    pub keeps_raw: bool,
}

impl Rules {
    pub(super) fn new(config: Config, context: &mut Context<'_>) -> Result<Self, ConfigError> {
        ensure(
            !config.keys.is_empty(),
            "keys",
            "must name at least one key; try `keys: [correlation_id, trace_id, thread_id]`",
        )?;
        ensure(
            config.gap > Span::ZERO,
            "gap",
            "must be longer than zero; a request ends after `gap` without an entry, try `gap: 30s`",
        )?;
        ensure(config.settle >= Span::ZERO, "settle", "must not be negative; try `settle: 1s`")?;
        ensure(config.settle <= config.gap, "settle", "must not be longer than `gap`; try `settle: 1s`")?;
        ensure(
            config.max_span.nanos() / 2 >= config.gap.nanos(),
            "max_span",
            "must be at least twice `gap`; try `max_span: 10m`",
        )?;
        ensure(config.max_entries >= 8, "max_entries", "must be at least 8; try `max_entries: 10000`")?;
        ensure(config.memory.bytes() >= 1 << 20, "memory", "must be at least 1MiB; try `memory: 512MiB`")?;
        ensure(
            config.end_markers.iter().all(|marker| !marker.is_empty()),
            "end_markers",
            "must not contain an empty text; try `end_markers: [\"request completed\"]`",
        )?;
        let mut keys: Vec<KeyName> = Vec::new();
        for name in config.keys {
            let kind = match name.as_str() {
                "correlation_id" => KeyKind::Correlation,
                "trace_id" => KeyKind::Trace,
                "thread_id" => KeyKind::Thread,
                field => KeyKind::Field(context.fields.intern(field)),
            };
            ensure(
                keys.iter().all(|known| known.kind != kind),
                "keys",
                "must name each key once; remove the repeated one",
            )?;
            keys.push(KeyName { kind, name });
        }
        Ok(Self {
            keys,
            gap: config.gap,
            settle: config.settle,
            half_span: config.max_span / 2,
            entries_max: config.max_entries,
            memory_bytes: config.memory.as_usize(),
            end_markers: config.end_markers,
            lateness: context.time.allowed_lateness,
            tick: context.time.tick,
            context: config.gap + context.carry,
            keeps_raw: context.originals,
        })
    }

    /// True when a message ends a request.
    pub(super) fn is_end(&self, message: &str) -> bool {
        self.end_markers.iter().any(|marker| message.contains(marker.as_str()))
    }
}
