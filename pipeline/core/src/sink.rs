//! Sinks: where records go.

use futures::future::BoxFuture;

use crate::record::Record;

/// Why a sink could not take records.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SinkError {
    /// Nobody reads the output any more, as when a pipe was closed: stop quietly.
    #[error("the output was closed")]
    Closed,
    /// It may work later: try again.
    #[error("{0}")]
    Retry(String),
    /// It will not work: stop and say so.
    #[error("{0}")]
    Fatal(String),
}

/// Takes records and makes them durable. What was written counts as delivered only after a `flush`.
pub trait Sink: Send {
    /// Its name, for metrics and messages.
    fn name(&self) -> &str;
    /// Takes records, in order. After an error nothing of the call counts as taken, and the same records come again.
    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>>;
    /// Makes everything taken so far durable.
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>>;
    /// Reports counters and gauges by name.
    fn metrics(&self, _report: &mut dyn FnMut(&'static str, u64)) {}
}
