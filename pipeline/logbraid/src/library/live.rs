//! What a running logbraid finds, as it finds it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::ask::Address;
use crate::cli::Fault;

/// How often it is asked.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Changes of its board.
#[derive(Deserialize)]
struct Changes {
    next: u64,
    more: bool,
    gap: bool,
    findings: Vec<Value>,
}

/// Sends the findings that stand on its board and, with `follow`, those that come, until `stop`.
pub(super) async fn findings(
    address: Address,
    follow: bool,
    send: mpsc::Sender<String>,
    stop: CancellationToken,
) -> Result<(), Fault> {
    let mut at = 0;
    while !stop.is_cancelled() {
        let board = address.get(&format!("/board?only=findings&since={at}")).await?;
        let changes: Changes = serde_json::from_str(&board)
            .map_err(|error| Fault::Failure(format!("its board is not what it should be: {error}")))?;
        if changes.next < at {
            // It was started again, and counts from 1.
            at = 0;
            continue;
        }
        if changes.gap {
            return Err(Fault::Failure(
                "findings were lost: it finds more than are taken, and shows the newest 1000 alone"
                    .to_owned(),
            ));
        }
        for finding in changes.findings {
            if send.send(finding.to_string()).await.is_err() {
                return Ok(());
            }
        }
        at = changes.next;
        if !changes.more {
            if !follow {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
    Ok(())
}
