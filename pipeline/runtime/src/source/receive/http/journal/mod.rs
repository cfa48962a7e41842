//! systemd's journal at `/upload`, as `systemd-journal-upload` sends it: one body of many entries, which may be hours under
//! way. Entries are kept as they come; the answer is given once all of them are durable, and never before the body has
//! ended: its sender takes it for everything it has sent.
//!
//! ```text
//!  frames of the body ─► turn: memory, Decoder, lines ─► Door::keep_within ─► the next turn … ─► 202
//!                        turns are read meanwhile, up to a bound: a slow pipeline makes the sender wait
//! ```

mod entry;
mod export;
#[cfg(test)]
mod tests;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinError;
use tokio::time::Sleep;

use super::super::connections::{expired, pay};
use super::super::door::{Door, Held, Refused};
use super::super::lines::{Lines, Sender};
use super::super::part::{Keep, Part};
use super::super::status::add;
use super::body::Encoding;
use super::routes::{Answer, Problem, content_type, json_answer};
use super::{STOP_WAIT, Shared};

use self::export::{Decoder, Wrong};

const KIND: &str = "application/vnd.fdo.journal";
/// What of a body is read before its entries are kept.
const TURN_BYTES: usize = 256 << 10;
/// A byte of a body is at most so many of a line: a control character as `\u001f`.
const SWELL: usize = 6;
/// Bytes of an unfinished entry that each upload may hold; more is asked for.
const FREE_BYTES: usize = 4 << 10;
/// An entry that holds more is read on a thread that may take its time.
const AT_ONCE_BYTES: usize = 64 << 10;
/// How long lines that were not kept wait until it is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// How long before the last moment of a stop an upload is ended.
const BEFORE_STOP: Duration = Duration::from_secs(2);

/// Takes an upload to its end.
pub(super) async fn receive(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Answer, Problem> {
    let kind = content_type(headers);
    if kind != KIND {
        let why = format!("`Content-Type: {kind}` is not understood here; a journal is sent as `{KIND}`");
        return Err(Problem::new(415, why));
    }
    if Encoding::of(headers)? != Encoding::Identity {
        let why = "a journal is read while it comes, and not compressed; send it without `Content-Encoding`";
        return Err(Problem::new(415, why.to_owned()));
    }
    let max = usize::try_from(shared.config.body.bytes()).unwrap_or(usize::MAX);
    let stop = shared.stop.clone();
    // Most uploads end by themselves; what is broken off is sent again from its beginning.
    let leaving = async move {
        stop.cancelled().await;
        tokio::time::sleep(STOP_WAIT.saturating_sub(BEFORE_STOP)).await;
    };
    let decoder = Decoder::new(max);
    let upload = Upload {
        shared,
        body,
        ended: false,
        decoder,
        max,
        leaving: Box::pin(leaving),
        deadline: None,
        paid: None,
        counted: 0,
        part: Part::new(Keeper(Arc::clone(shared)), Sender::WHOLE),
        kept: 0,
    };
    upload.run().await
}

/// An upload under way.
struct Upload<'a> {
    shared: &'a Arc<Shared>,
    body: Incoming,
    ended: bool,
    decoder: Decoder,
    max: usize,
    /// Ends when the listener does, after a while.
    leaving: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// When the entry that has begun must have ended.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Memory of the entry that has begun.
    paid: Option<OwnedSemaphorePermit>,
    /// Cut entries that were counted.
    counted: u64,
    /// Lines that are not durable yet.
    part: Part<Keeper>,
    /// Lines that are durable.
    kept: usize,
}

fn stopping() -> Problem {
    Refused::Stopping.into()
}

impl Upload<'_> {
    async fn run(mut self) -> Result<Answer, Problem> {
        let mut next = None;
        loop {
            let bytes = match next.take() {
                Some(bytes) => bytes,
                None => self.arrive().await?,
            };
            // The end is a turn, too: an entry may end with the body.
            let ended = self.ended;
            next = self.turn(bytes).await?;
            if ended {
                break;
            }
            self.owe().await?;
        }
        self.all_written().await?;
        Ok(json_answer(202, Bytes::from(format!("{{\"accepted\":{}}}\n", self.kept))))
    }

    /// Waits for more of the body, for hours between entries; nothing at its end.
    async fn arrive(&mut self) -> Result<Bytes, Problem> {
        while !self.ended {
            let frame = tokio::select! {
                biased;
                () = &mut self.leaving => return Err(stopping()),
                frame = self.body.frame() => frame,
                Some(kept) = self.part.written() => {
                    go_on(&mut self.part, &mut self.kept, kept)?;
                    continue;
                }
                () = expired(&mut self.deadline) => {
                    let why = format!("an entry did not arrive within {}", self.shared.config.timeout);
                    return Err(Problem::new(408, why));
                }
            };
            match frame {
                None => self.ended = true,
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => return Ok(bytes),
                    _ => {}
                },
                Some(Err(error)) => {
                    return Err(Problem::new(400, format!("the body ended early: {error}")));
                }
            }
        }
        Ok(Bytes::new())
    }

    /// Reads and keeps `bytes`, and what follows without waiting; what was not read yet comes back. Memory is asked for
    /// while none of the room is held: there is no end to waiting for one another else.
    async fn turn(&mut self, bytes: Bytes) -> Result<Option<Bytes>, Problem> {
        let shared = Arc::clone(self.shared);
        let most = TURN_BYTES.max(bytes.len());
        // The line of the entry that has begun, and those behind it; each is there twice for a moment.
        let begun = self.decoder.holds().saturating_mul(SWELL).min(self.max);
        let need = 2 * (begun + most * SWELL);
        while !self.part.has_room(need) {
            // Time that we take is not the sender's.
            self.deadline = None;
            if self.part.is_writing() {
                self.written().await?;
                continue;
            }
            tokio::select! {
                biased;
                () = self.part.room(need) => break,
                () = &mut self.leaving => return Err(stopping()),
            }
        }
        let had = self.part.lines.count();
        let (mut taken, mut next) = (0, Some(bytes));
        let mut read = Ok(());
        while let Some(bytes) = next.take() {
            if taken + bytes.len() > most {
                next = Some(bytes);
                break;
            }
            taken += bytes.len();
            read = self.decode(bytes).await?;
            if read.is_err() || self.ended {
                break;
            }
            let frame = tokio::select! {
                biased;
                frame = self.body.frame() => frame,
                () = std::future::ready(()) => break,
            };
            match frame {
                Some(Ok(frame)) => next = Some(frame.into_data().unwrap_or_default()),
                // What came before is kept first.
                Some(Err(error)) => {
                    self.all_written().await?;
                    return Err(Problem::new(400, format!("the body ended early: {error}")));
                }
                None => self.ended = true,
            }
        }
        add(&shared.door.status.cut, self.decoder.cut - self.counted);
        self.counted = self.decoder.cut;
        let complete = self.part.lines.count() > had;
        self.part.write();
        if let Err(wrong) = read {
            self.all_written().await?;
            return Err(Problem::new(400, format!("{wrong}; {} entries before it were kept", self.kept)));
        }
        while self.part.is_full() {
            self.written().await?;
        }
        if !self.decoder.within() {
            self.deadline = None;
        } else if complete || self.deadline.is_none() {
            self.deadline = Some(Box::pin(tokio::time::sleep(shared.config.timeout.to_std())));
        }
        Ok(next)
    }

    /// Reads `bytes`, or the end of the body, and adds the lines of entries that are complete.
    async fn decode(&mut self, bytes: Bytes) -> Result<Result<(), Wrong>, Problem> {
        let (received, ended) = (self.shared.door.now(), self.ended);
        let read = move |decoder: &mut Decoder, lines: &mut Lines| {
            let tell = |line: &[u8]| lines.push(line, received);
            if ended { decoder.finish(tell) } else { decoder.push(&bytes, tell) }
        };
        if self.decoder.holds() < AT_ONCE_BYTES {
            return Ok(read(&mut self.decoder, &mut self.part.lines));
        }
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(0));
        let mut lines = std::mem::take(&mut self.part.lines);
        let work = move || {
            let read = read(&mut decoder, &mut lines);
            (decoder, lines, read)
        };
        // Others are served meanwhile.
        let worked = tokio::task::spawn_blocking(work).await;
        let (decoder, lines, read) =
            worked.map_err(|error| Problem::new(500, format!("not understood: {error}")))?;
        (self.decoder, self.part.lines) = (decoder, lines);
        Ok(read)
    }

    /// Waits for what is being written, and begins with what goes next.
    async fn written(&mut self) -> Result<(), Problem> {
        if !self.part.is_writing() {
            return Ok(());
        }
        tokio::select! {
            biased;
            Some(kept) = self.part.written() => go_on(&mut self.part, &mut self.kept, kept),
            () = &mut self.leaving => Err(stopping()),
        }
    }

    async fn all_written(&mut self) -> Result<(), Problem> {
        self.part.write();
        while self.part.is_writing() {
            self.written().await?;
        }
        Ok(())
    }

    /// Waits for the memory of an entry that is not complete, which lines that are do not wait for.
    async fn owe(&mut self) -> Result<(), Problem> {
        let owed = self.decoder.holds().saturating_sub(FREE_BYTES);
        if owed == 0 {
            self.paid = None;
            return Ok(());
        }
        let mut paying = pin!(pay(&self.shared.unfinished, &mut self.paid, owed));
        loop {
            tokio::select! {
                biased;
                () = &mut paying => return Ok(()),
                Some(kept) = self.part.written() => go_on(&mut self.part, &mut self.kept, kept)?,
                () = &mut self.leaving => return Err(stopping()),
                () = expired(&mut self.deadline) => {
                    add(&self.shared.door.status.busy, 1);
                    let why = "too many long entries arrive at once; send again";
                    return Err(Problem::new(429, why.to_owned()));
                }
            }
        }
    }
}

/// Counts what was kept, and begins with what goes next.
fn go_on(
    part: &mut Part<Keeper>,
    count: &mut usize,
    kept: Result<Result<usize, Problem>, JoinError>,
) -> Result<(), Problem> {
    *count += kept.map_err(|error| Problem::new(500, format!("not kept: {error}")))??;
    part.write();
    Ok(())
}

/// Keeps lines for as long as it takes.
struct Keeper(Arc<Shared>);

impl Keep for Keeper {
    type Kept = Result<usize, Problem>;

    fn door(&self) -> &Door {
        &self.0.door
    }
    fn keep(&self, lines: Lines, held: Held) -> impl Future<Output = Self::Kept> + Send + 'static {
        keep(Arc::clone(&self.0), lines, held)
    }
}

/// Keeps lines, and returns their number. That too much waits, or the disk is full of what no sink has taken, makes the
/// sender wait; a log that cannot be written is tried again within the time for an entry.
async fn keep(shared: Arc<Shared>, mut lines: Lines, mut held: Held) -> Result<usize, Problem> {
    let count = lines.count();
    let (mut told, mut failing) = (false, None);
    loop {
        let Err(back) = shared.door.keep_within(lines, held).await else { return Ok(count) };
        match &back.why {
            Refused::Stopping => return Err(stopping()),
            Refused::Busy(_) => failing = None,
            Refused::Failed(_) if failing.is_none() => {
                failing = Some(Box::pin(tokio::time::sleep(shared.config.timeout.to_std())));
            }
            Refused::Failed(_) => {}
        }
        if !std::mem::replace(&mut told, true) {
            add(&shared.door.status.busy, 1);
        }
        tokio::select! {
            biased;
            () = expired(&mut failing) => return Err(back.why.into()),
            () = tokio::time::sleep(AGAIN) => {}
        }
        (lines, held) = (back.lines, back.held);
    }
}

/// The lines of a body that comes in parts of `part` bytes, of which none has more than `max`. For tests of the decoder
/// with bytes of any kind.
///
/// # Errors
/// What a sender of these bytes would be refused for.
pub fn decode(bytes: &[u8], max: usize, part: usize) -> Result<Vec<Vec<u8>>, String> {
    let mut decoder = Decoder::new(max);
    let mut lines = Vec::new();
    let mut tell = |line: &[u8]| lines.push(line.to_vec());
    let read = bytes.chunks(part.max(1)).try_for_each(|part| decoder.push(part, &mut tell));
    read.and_then(|()| decoder.finish(&mut tell)).map_err(|wrong| wrong.to_string())?;
    Ok(lines)
}
