//! Server-sent events: changes of the board as they come, and the run's figures every second.
//!
//! A client costs a number and a place in a list. One that does not read is dropped and counted; it may come again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use logbraid_core::Span;

use super::Web;

/// How often the board is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks between two reports of the figures.
const FIGURES_EVERY: u32 = 4;
/// Changes of one event, at most.
const CHANGES_MAX: usize = 500;
/// Clients at a time, at most.
const CLIENTS_MAX: usize = 32;
/// A client that took nothing for so long is dropped.
const SILENT_MAX: Span = Span::from_seconds(15);

/// Who listens.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    /// When each took something last.
    seen: Mutex<BTreeMap<u64, Span>>,
    last: AtomicU64,
    dropped: AtomicU64,
}

impl Clients {
    /// Takes one in; none when all places are taken.
    fn enter(&self, now: Span) -> Option<u64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.len();
        seen.retain(|_, last| now.nanos() - last.nanos() <= SILENT_MAX.nanos());
        self.dropped.fetch_add((before - seen.len()) as u64, Ordering::Relaxed);
        if seen.len() >= CLIENTS_MAX {
            return None;
        }
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        seen.insert(id, now);
        Some(id)
    }
    /// False when the client has lost its place.
    fn stay(&self, id: u64, now: Span) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = seen.get_mut(&id) else { return false };
        if now.nanos() - last.nanos() > SILENT_MAX.nanos() {
            return false;
        }
        *last = now;
        true
    }
    /// Lets one go that is too slow.
    fn drop_slow(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
    fn leave(&self, id: u64) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
    /// How many were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// One client.
struct Client {
    web: Web,
    id: u64,
    /// The number of the last change that it was told of.
    at: u64,
    /// Looks since it came.
    looks: u32,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.web.board.clients().leave(self.id);
    }
}

pub(super) async fn events(State(web): State<Web>) -> Response {
    let Some(id) = web.board.clients().enter(web.clock.uptime()) else {
        let text = format!("{CLIENTS_MAX} clients listen already\n");
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], text).into_response();
    };
    let client = Client { web, id, at: 0, looks: 0 };
    let events = stream::unfold(client, async |mut client| {
        let event = client.next().await?;
        Some((Ok::<Event, Infallible>(event), client))
    });
    Sse::new(events).into_response()
}

impl Client {
    /// What it is told next; none when it has to go.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let clients = self.web.board.clients();
            if !clients.stay(self.id, self.web.clock.uptime()) {
                clients.drop_slow();
                return None;
            }
            let changes = self.web.board.since(self.at, CHANGES_MAX);
            if changes.gap {
                // It begins anew with what is still there.
                clients.drop_slow();
                return None;
            }
            self.at = changes.next;
            if !changes.is_empty() {
                return Some(Event::default().event("board").data(changes.to_json()));
            }
            self.looks += 1;
            if self.looks % FIGURES_EVERY == 1 {
                return Some(Event::default().event("figures").data(self.web.figures().to_string()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Span {
        Span::from_seconds(seconds)
    }

    #[test]
    fn places_are_bounded_and_those_of_the_silent_are_given_away() {
        let clients = Clients::default();
        let ids: Vec<u64> = (0..CLIENTS_MAX).filter_map(|_| clients.enter(at(0))).collect();
        assert_eq!(ids.len(), CLIENTS_MAX);
        assert_eq!(clients.enter(at(1)), None);
        assert!(clients.stay(ids[0], at(14)));
        assert!(clients.enter(at(16)).is_some(), "all but the first have been silent for too long");
        assert_eq!(clients.dropped(), CLIENTS_MAX as u64 - 1);
        assert!(!clients.stay(ids[1], at(16)));
        assert!(clients.stay(ids[0], at(16)));
    }
}
