//! The standard output, with other writers in its place.

use std::pin::Pin;
use std::task::{Context as Task, Poll};

use super::*;
use crate::ndjson;
use crate::tests::{finding, lines};

struct Broken(io::ErrorKind);

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Task<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(self.0.into()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn records_are_written_in_order_one_a_line() {
    let mut sink = Stdout::new(Vec::new(), ndjson::encoder());
    let (a, b) = (finding("a"), finding("b"));
    sink.write(&[&a, &b]).await.unwrap();
    sink.write(&[&a]).await.unwrap();
    sink.flush().await.unwrap();
    assert_eq!(lines(&sink.writer), ["a", "b", "a"]);
    let mut counted = Vec::new();
    sink.metrics(&mut |name, value| counted.push((name, value)));
    assert_eq!(counted, [("records", 3), ("bytes", sink.writer.len() as u64)]);
}

#[tokio::test]
async fn a_reader_that_has_gone_closes_the_sink_and_other_errors_are_fatal() {
    let record = finding("a");
    let mut sink = Stdout::new(Broken(io::ErrorKind::BrokenPipe), ndjson::encoder());
    assert!(matches!(sink.write(&[&record]).await, Err(SinkError::Closed)));
    let mut sink = Stdout::new(Broken(io::ErrorKind::StorageFull), ndjson::encoder());
    let Err(SinkError::Fatal(text)) = sink.write(&[&record]).await else { panic!("fatal") };
    assert!(text.contains("no space is left"));
}
