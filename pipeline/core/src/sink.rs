//! Sinks: where records go.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

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

/// A consumer group whose offsets a sink can make durable together with its records.
pub trait ConsumerGroup: Send + Sync + fmt::Debug {
    /// What a transaction needs to know of the group's membership at this moment, as the client library has it; both
    /// sides use the same library. `None` when the consumer has left the group.
    fn membership(&self) -> Option<Box<dyn Any + Send>>;
}

/// Where a partition resumes, as its own store writes it.
#[derive(Debug, Clone)]
pub struct SourceOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of the next record.
    pub offset: i64,
    /// What is kept beside the offset, at most 512 bytes.
    pub metadata: String,
    /// Whose offset it is.
    pub group: Arc<dyn ConsumerGroup>,
}

/// Takes records and makes them durable. What was written counts as delivered only after a `flush`.
pub trait Sink: Send {
    /// Its name, for metrics and messages.
    fn name(&self) -> &str;
    /// Reaches what it writes to, before anything is read, so that what cannot work is told at once. It may be called
    /// again after an error.
    fn open(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// Takes records, in order. After an error nothing of the call counts as taken, and the same records come again.
    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>>;
    /// Makes everything taken so far durable.
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>>;
    /// True when records become visible only together with the offsets given to [`Self::flush_with`]: then `flush` is
    /// not called in between, and only commits flush.
    fn commits_offsets(&self) -> bool {
        false
    }
    /// Makes everything taken so far and `offsets` durable, all or nothing where [`Self::commits_offsets`]; other sinks
    /// leave the offsets to the source.
    fn flush_with<'a>(&'a mut self, _offsets: &'a [SourceOffset]) -> BoxFuture<'a, Result<(), SinkError>> {
        self.flush()
    }
    /// Takes leave of what it writes to, after the last flush of a run. What was flushed is not taken back by an error; it
    /// says what may be missing at the other end.
    fn close(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// Reports counters and gauges by name.
    fn metrics(&self, _report: &mut dyn FnMut(&'static str, u64)) {}
}
