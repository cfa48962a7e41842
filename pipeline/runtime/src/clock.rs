//! The one place that reads the host's time.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use logbraid_core::{EventTime, Span};

/// The time: of day for records without one, and monotonic for waiting.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time of day.
    fn now(&self) -> EventTime;
    /// Time that only goes forward, since some moment of the past.
    fn uptime(&self) -> Span;
}

/// The host's clock.
#[derive(Debug)]
pub struct HostClock {
    start: Instant,
}

impl Default for HostClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for HostClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn now(&self) -> EventTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        EventTime::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX - 1))
    }
    fn uptime(&self) -> Span {
        Span::from_nanos(i64::try_from(self.start.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }
}

/// A clock that tests set.
#[derive(Debug, Default)]
pub struct FakeClock {
    nanos: AtomicI64,
}

impl FakeClock {
    /// A clock that stands at `now`.
    pub fn at(now: EventTime) -> Self {
        Self { nanos: AtomicI64::new(now.nanos()) }
    }
    /// Lets `span` pass.
    pub fn pass(&self, span: Span) {
        self.nanos.fetch_add(span.nanos(), Ordering::AcqRel);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> EventTime {
        EventTime::from_nanos(self.nanos.load(Ordering::Acquire))
    }
    fn uptime(&self) -> Span {
        Span::from_nanos(self.nanos.load(Ordering::Acquire))
    }
}
