//! Connections over TCP and Unix sockets.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use super::super::connections::{LEAVING, Stream, expired, pay};
use super::super::lines::Lines;
use super::super::status::add;
use super::frames::Cutter;
use super::{Shared, keep};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// What the lines of one read may take beyond a message that waited: each has a length before it.
const LINES_BYTES: usize = 3 * READ_BYTES;
/// Bytes of an unfinished message that each connection may hold; more is asked for.
const FREE_BYTES: usize = 4 << 10;
/// What is still read of each connection when the listener ends: more than the kernel holds, mostly.
const LEAVING_BYTES: usize = 8 << 20;

/// Reads a connection to its end. What has arrived is kept, the last message too when it has no end.
pub(super) async fn read(mut stream: impl Stream, shared: Arc<Shared>) {
    let status = &shared.door.status;
    let max = usize::try_from(shared.config.message.bytes()).unwrap_or(usize::MAX);
    let (mut cutter, mut counted) = (Cutter::new(max), 0);
    let mut paid: Option<OwnedSemaphorePermit> = None;
    let mut deadline: Option<Pin<Box<Sleep>>> = None;
    let mut leaving = None;
    let sender = shared.door.sender();
    loop {
        let mut ended = false;
        if leaving.is_some() {
            ended = tokio::time::timeout(LEAVING, stream.readable()).await.is_err();
        } else {
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => leaving = Some(LEAVING_BYTES),
                () = expired(&mut deadline) => {
                    add(&status.timeouts, 1);
                    ended = true;
                }
                readable = stream.readable() => ended = readable.is_err(),
            }
        }
        let held = shared.door.room(cutter.waiting() + LINES_BYTES).await;
        let mut bytes = vec![0; READ_BYTES];
        let read = if ended { Ok(0) } else { stream.try_read(&mut bytes) };
        let read = match (read, &mut leaving) {
            (Ok(read), None) => read,
            (Ok(read), Some(left)) if *left >= read => {
                *left -= read;
                read
            }
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => continue,
            // It is broken, or the listener ends and there is no more.
            _ => 0,
        };
        let received = shared.door.now();
        let mut lines = Lines::of(sender);
        let tell = |message: &[u8]| lines.push(message.trim_ascii_end(), received);
        if read == 0 {
            cutter.finish(tell);
        } else {
            cutter.push(&bytes[..read], tell);
        }
        drop(bytes);
        add(&status.cut, cutter.cut - counted);
        counted = cutter.cut;
        if !cutter.within() {
            deadline = None;
        } else if lines.count() > 0 || deadline.is_none() {
            deadline = Some(Box::pin(tokio::time::sleep(shared.config.timeout.to_std())));
        }
        if !keep(&shared, lines, held).await || read == 0 {
            return;
        }
        // Unfinished messages share memory of their own, so that they keep nobody's whole ones waiting.
        let owed = cutter.waiting().saturating_sub(FREE_BYTES);
        if owed == 0 {
            paid = None;
        } else if leaving.is_none() {
            tokio::select! {
                () = pay(&shared.unfinished, &mut paid, owed) => {}
                () = expired(&mut deadline) => {}
                () = shared.stop.cancelled() => {}
            }
        }
    }
}
