//! Keeps a window of entries that questions can be asked of.
//!
//! ```text
//!  events ──────────────► events
//!     └► IndexWriter ─publish─► View ◄── IndexReader, from any thread: `Operator::shared`
//! ```

use std::any::Any;
use std::sync::Arc;

use logbraid_core::component::{Component, ConfigError, Context, ensure};
use logbraid_core::{ByteSize, Emit, Event, EventTime, Id, Operator, Span};
use logbraid_index::{Backing, IndexReader, IndexWriter, MEMORY_BYTES_MIN, Options};

#[cfg(test)]
mod tests;

/// Entries after which a view is published even if nobody asks.
const UNPUBLISHED_MAX: usize = 4096;
/// A quiet stream publishes this often in event time, so that the first look at it is not too old.
const QUIET: Span = Span::from_seconds(5);
/// So few entries in that time are a quiet stream, for which publishing costs nothing to speak of.
const QUIET_ENTRIES: usize = 256;

/// Settings of `index`.
#[derive(Debug, Clone, Copy, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How much event time is kept.
    pub span: Span,
    /// Most memory that it holds; the oldest entries leave first.
    pub memory: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self { span: Span::from_seconds(15 * 60), memory: ByteSize::from_bytes(256 << 20) }
    }
}

/// The operator.
pub struct Index {
    writer: IndexWriter,
    reader: Arc<IndexReader>,
    published: EventTime,
    /// True when nobody reads before the input has ended.
    batch: bool,
}

impl Index {
    /// An index of all that is read, for questions that are asked once the input has ended. Text stays in files that can
    /// be read again; beyond `memory_bytes` the oldest entries leave, and the view says so.
    pub fn batch(memory_bytes: usize) -> Self {
        let writer = IndexWriter::new(Options { span: None, memory_bytes, backing: Backing::Files });
        let reader = Arc::new(writer.reader());
        Self { writer, reader, published: EventTime::MIN, batch: true }
    }
    /// For readers, from any thread.
    pub fn reader(&self) -> IndexReader {
        (*self.reader).clone()
    }
}

impl Operator for Index {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn on_event(&mut self, event: Event, out: &mut Emit) {
        if event.template() == Id::default() {
            self.writer.push(&event);
        } else {
            self.writer.push_with_template(&event, event.template());
        }
        out.event(event);
    }
    fn on_watermark(&mut self, watermark: EventTime, _: &mut Emit) {
        self.writer.advance(watermark);
        if self.batch {
            if watermark == EventTime::MAX {
                self.writer.finish();
                self.writer.publish();
            }
            return;
        }
        let new = self.writer.unpublished();
        let quiet =
            new <= QUIET_ENTRIES && (!self.published.is_known() || watermark.since(self.published) >= QUIET);
        if self.writer.is_asked() || new >= UNPUBLISHED_MAX || quiet || watermark == EventTime::MAX {
            self.writer.publish();
            self.published = watermark;
        }
    }
    fn shared(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::clone(&self.reader) as Arc<dyn Any + Send + Sync>)
    }
    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        let metrics = self.writer.metrics();
        report("entries", metrics.entries);
        report("blocks", metrics.blocks);
        report("bytes", metrics.bytes() as u64);
        report("columns_bytes", metrics.sizes.columns as u64);
        report("dictionaries_bytes", metrics.sizes.dictionaries as u64);
        report("text_bytes", metrics.sizes.text as u64);
        report("open_bytes", metrics.open_bytes as u64);
        report("expired_total", metrics.expired);
        report("evicted_total", metrics.evicted);
        report("too_old_total", metrics.too_old);
        report("texts_left_out_total", metrics.texts_left_out);
        report("fields_left_out_total", metrics.fields_left_out);
        report("published_total", metrics.published);
    }
}

impl Component for Index {
    type Config = Config;
    const NAME: &'static str = "index";
    const DOCS: &'static str = include_str!("README.md");

    fn build(config: Config, _: &mut Context<'_>) -> Result<Self, ConfigError> {
        ensure(config.span > Span::ZERO, "span", "must be longer than zero; try `15m`")?;
        let memory_bytes = config.memory.as_usize();
        ensure(memory_bytes >= 2 * MEMORY_BYTES_MIN, "memory", "must be at least `8MiB`; try `256MiB`")?;
        let writer =
            IndexWriter::new(Options { span: Some(config.span), memory_bytes, backing: Backing::Packed });
        let reader = Arc::new(writer.reader());
        Ok(Self { writer, reader, published: EventTime::MIN, batch: false })
    }
}
