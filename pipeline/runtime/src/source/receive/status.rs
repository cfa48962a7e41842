//! What a listener has done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a listener has done, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Status {
    name: String,
    address: Mutex<String>,
    trouble: Mutex<Option<String>>,
    pub(super) lines: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) busy: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) connections_refused: AtomicU64,
    pub(super) tls_refused: AtomicU64,
    pub(super) replayed: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) wal_bytes: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// Counts `by` more.
pub(super) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Status {
    pub(super) fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }
    /// The listener as users know it.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The address in use; with port 0 in the settings, the port that the system chose.
    pub fn address(&self) -> String {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    pub(super) fn listens(&self, address: String) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
    /// What is wrong at this moment, such as a full disk; nothing when all is well.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
    /// Counters and gauges by name.
    pub fn metrics(&self, report: &mut dyn FnMut(&'static str, i64)) {
        let figures = [
            ("received_lines_total", &self.lines),
            ("received_bytes_total", &self.bytes),
            ("received_requests_total", &self.requests),
            ("received_refused_total", &self.refused),
            ("received_busy_total", &self.busy),
            ("received_timeouts_total", &self.timeouts),
            ("received_connections", &self.connections),
            ("received_connections_refused_total", &self.connections_refused),
            ("received_tls_refused_total", &self.tls_refused),
            ("received_cut_total", &self.cut),
            ("received_dropped_total", &self.dropped),
            ("wal_replayed_records_total", &self.replayed),
            ("wal_damaged_records_total", &self.damaged),
            ("wal_syncs_total", &self.syncs),
            ("wal_failures_total", &self.failures),
            ("wal_bytes", &self.wal_bytes),
        ];
        for (name, figure) in figures {
            report(name, i64::try_from(figure.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
        }
    }
}
