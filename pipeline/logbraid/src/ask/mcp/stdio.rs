//! Messages on stdin and stdout, one a line.

use futures::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::rpc;
use super::server::Server;

/// The longest message; what is longer is no message of this protocol.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// Messages that are answered at the same time, so that a long question does not hold up a short one.
const AT_ONCE: usize = 4;

/// Answers until stdin ends or nobody reads what is answered.
pub(super) async fn serve(server: &Server) {
    let input = BufReader::new(tokio::io::stdin());
    let lines = futures::stream::unfold(input, async |mut input| {
        let line = next(&mut input).await?;
        Some((line, input))
    });
    let replies = lines.map(async |line| rpc::reply(server, &line).await).buffer_unordered(AT_ONCE);
    let mut replies = std::pin::pin!(replies);
    let mut output = tokio::io::stdout();
    while let Some(reply) = replies.next().await {
        let Some(reply) = reply else { continue };
        if write(&mut output, &reply).await.is_err() {
            return;
        }
    }
}

/// The next line that is not blank; of one that is too long, the beginning, which is no JSON.
async fn next(input: &mut BufReader<tokio::io::Stdin>) -> Option<Vec<u8>> {
    loop {
        let mut line = Vec::new();
        let read = (&mut *input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await.ok()?;
        if read == 0 {
            return None;
        }
        if read as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            line.truncate(1);
            skip(input).await?;
        }
        if !line.trim_ascii().is_empty() {
            return Some(line);
        }
    }
}

/// Reads on to the end of the line.
async fn skip(input: &mut BufReader<tokio::io::Stdin>) -> Option<()> {
    loop {
        let bytes = input.fill_buf().await.ok().filter(|bytes| !bytes.is_empty())?;
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |end| end + 1);
        input.consume(taken);
        if end.is_some() {
            return Some(());
        }
    }
}

async fn write(output: &mut tokio::io::Stdout, reply: &Value) -> std::io::Result<()> {
    output.write_all(format!("{reply}\n").as_bytes()).await?;
    output.flush().await
}
