//! Connections over TCP and Unix sockets.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use super::super::connections::{LEAVING, Stream, expired, pay};
use super::super::part::Part;
use super::super::status::{Status, add};
use super::Shared;
use super::frames::Cutter;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// What the lines of one read may take beyond a message that waited: each has a length before it.
const LINES_BYTES: usize = 3 * READ_BYTES;
/// Bytes of an unfinished message that each connection may hold; more is asked for.
const FREE_BYTES: usize = 4 << 10;
/// What is still read of each connection when the listener ends: more than the kernel holds, mostly.
const LEAVING_BYTES: usize = 8 << 20;

/// Reads a connection to its end. What has arrived is kept, the last message too when it has no end.
///
/// Nobody is answered, so that reading goes on while the log is written: what comes meanwhile is the next part. Parts are
/// written one after the other, in order.
pub(super) async fn read(mut stream: impl Stream, shared: Arc<Shared>) {
    let status = &shared.door.status;
    let max = usize::try_from(shared.config.message.bytes()).unwrap_or(usize::MAX);
    let (mut cutter, mut counted) = (Cutter::new(max), 0);
    let mut paid: Option<OwnedSemaphorePermit> = None;
    let mut deadline: Option<Pin<Box<Sleep>>> = None;
    let mut leaving = None;
    let mut part = Part::new(Arc::clone(&shared), shared.door.sender());
    let again = || Box::pin(tokio::time::sleep(shared.config.timeout.to_std()));
    loop {
        let mut ended = false;
        if leaving.is_some() {
            ended = tokio::time::timeout(LEAVING, stream.readable()).await.is_err();
        } else {
            tokio::select! {
                biased;
                kept = go_on(&mut part, status), if part.is_writing() => {
                    if !kept {
                        return;
                    }
                    // Time that the disk took is not the sender's.
                    deadline = deadline.map(|_| again());
                    continue;
                }
                () = shared.stop.cancelled() => leaving = Some(LEAVING_BYTES),
                () = expired(&mut deadline), if !part.is_full() => {
                    add(&status.timeouts, 1);
                    ended = true;
                }
                readable = stream.readable(), if !part.is_full() => ended = readable.is_err(),
            }
        }
        let need = cutter.waiting() + LINES_BYTES;
        while !part.has_room(need) {
            if !part.is_writing() {
                part.room(need).await;
                break;
            }
            if !go_on(&mut part, status).await {
                return;
            }
        }
        let mut bytes = vec![0; READ_BYTES];
        let read = if ended { Ok(0) } else { stream.try_read(&mut bytes) };
        let read = match (read, &mut leaving) {
            (Ok(read), None) => read,
            (Ok(read), Some(left)) if *left >= read => {
                *left -= read;
                read
            }
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {
                part.write();
                continue;
            }
            // It is broken, or the listener ends and there is no more.
            _ => 0,
        };
        let received = shared.door.now();
        let had = part.lines.count();
        let tell = |message: &[u8]| part.lines.push(message.trim_ascii_end(), received);
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
        } else if part.lines.count() > had || deadline.is_none() {
            deadline = Some(again());
        }
        part.write();
        if leaving.is_some() || read == 0 {
            while part.is_writing() {
                if !go_on(&mut part, status).await {
                    return;
                }
            }
        }
        if read == 0 {
            return;
        }
        // Unfinished messages share memory of their own, so that they keep nobody's whole ones waiting.
        let owed = cutter.waiting().saturating_sub(FREE_BYTES);
        if owed == 0 {
            paid = None;
        } else if leaving.is_none() {
            let mut paying = pin!(pay(&shared.unfinished, &mut paid, owed));
            loop {
                tokio::select! {
                    () = &mut paying => break,
                    () = expired(&mut deadline) => break,
                    () = shared.stop.cancelled() => break,
                    kept = go_on(&mut part, status), if part.is_writing() => if !kept {
                        return;
                    },
                }
            }
        }
    }
}

/// Waits for what is being written, and begins with what goes next; false when the listener ends and the rest is lost.
async fn go_on(part: &mut Part<Arc<Shared>>, status: &Status) -> bool {
    let kept = part.written().await.is_none_or(|kept| kept.unwrap_or(false));
    if kept {
        part.write();
    } else {
        add(&status.dropped, part.lines.count() as u64);
    }
    kept
}
