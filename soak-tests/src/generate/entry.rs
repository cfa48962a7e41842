//! Generated entries, one after another, without the memory of those before.

use super::message::{self, Severity};
use super::random::Random;
use super::stamp::T0_US;
use super::{Order, Workload};

/// Services of multi-service files, in order.
pub const SERVICES: [&str; 5] =
    ["api-gateway", "auth-service", "user-service", "order-service", "cache-service"];

/// One log record before it is laid out as text.
#[derive(Debug)]
pub struct Entry {
    /// Microseconds since 1970.
    pub time_us: u64,
    /// Its level.
    pub level: Severity,
    /// ASCII without quotes and backslashes.
    pub message: Vec<u8>,
    /// The number of its thread.
    pub thread: u64,
    /// The number of its request.
    pub request: u64,
    /// The number of its trace.
    pub trace: u64,
    /// Hundredths of a millisecond.
    pub duration: u64,
    /// An HTTP status.
    pub status: Option<u64>,
    /// The number of its span and of the span's parent.
    pub span: Option<(u64, Option<u64>)>,
    /// The service, in multi-service files.
    pub service: Option<&'static str>,
}

/// Draws entries of a workload.
#[derive(Debug)]
pub struct Entries {
    workload: Workload,
    random: Random,
    at: u64,
    service: Option<usize>,
    entry: Entry,
}

impl Entries {
    /// The entries of `workload`; of its service number `service`, if it is a multi-service one.
    pub fn new(workload: Workload, service: Option<usize>) -> Self {
        // One stream of numbers per file.
        let random = Random::new(workload.seed.wrapping_add(service.map_or(0, |at| at as u64 + 1)));
        let entry = Entry {
            time_us: 0,
            level: Severity::Info,
            message: Vec::with_capacity(128),
            thread: 0,
            request: 0,
            trace: 0,
            duration: 0,
            status: None,
            span: None,
            service: service.and_then(|at| SERVICES.get(at).copied()),
        };
        Self { workload, random, at: 0, service, entry }
    }

    /// The next entry, until there are as many as the workload asks for.
    pub fn draw(&mut self) -> Option<&Entry> {
        let Workload { entries, order, error_permille, spans, step_us, .. } = self.workload;
        if self.at >= entries {
            return None;
        }
        let (i, random, entry) = (self.at, &mut self.random, &mut self.entry);
        self.at += 1;
        // Milliseconds between entries: plain files 0.5 to 5, each service of a multi-service file 1 to 10.
        let (least, most, begin) = match self.service {
            Some(at) => (1_000_000, 10_000_000, T0_US + 50_000 * at as u64),
            None => (500_000, 5_000_000, T0_US),
        };
        entry.time_us = match order {
            Order::Article => begin + i * random.between(least, most) / 1000,
            Order::Stream => {
                let jitter = random.below(self.workload.jitter_us + 1);
                // An entry may be older than those before it by less than the jitter, never by more.
                let step_ns = if step_us == 0 { u64::midpoint(least, most) } else { step_us * 1000 };
                begin + self.workload.jitter_us + i * step_ns / 1000 - jitter
            }
        };
        entry.level = Severity::draw(random, error_permille);
        if self.service.is_some() {
            (entry.thread, entry.request, entry.trace) = (i % 3, 42, 42);
        } else {
            let request = self.workload.request(i);
            (entry.thread, entry.request, entry.trace) = (random.below(10), request, request);
        }
        entry.message.clear();
        message::write(&mut entry.message, entry.level, random);
        entry.duration = random.between(10, if self.service.is_some() { 20_000 } else { 50_000 });
        entry.status = if self.service.is_some() {
            None
        } else if entry.level == Severity::Error {
            Some([500, 502, 503][usize::try_from(random.below(3)).unwrap_or(0)])
        } else {
            random.chance(30).then(|| [200, 201, 204, 301][usize::try_from(random.below(4)).unwrap_or(0)])
        };
        entry.span = spans.then(|| {
            let parent = i > 0 && random.chance(60);
            (i, parent.then(|| random.between(i.saturating_sub(20), i.saturating_sub(1))))
        });
        Some(entry)
    }
}
