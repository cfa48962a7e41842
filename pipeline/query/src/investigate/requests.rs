//! Requests of a window in one pass over columns: how long they took, where they fell silent, where they began to fail.

use hashbrown::HashMap;
use logbraid_core::{EventTime, Id, Level, Span};
use logbraid_index::EntryRef;

use super::Service;

/// Services with errors that a request remembers, in order.
const SPREAD_MAX: usize = 8;

/// A request.
#[derive(Debug)]
pub(super) struct Request<'v> {
    pub(super) id: &'v str,
    pub(super) start: EventTime,
    end: EventTime,
    pub(super) entries: u64,
    pub(super) errors: u64,
    first_error: Option<EntryRef<'v>>,
    /// Services of errors, in the order of their first ones.
    spread: Vec<&'v str>,
    last: EntryRef<'v>,
    /// The longest silence.
    pub(super) silence: Span,
    /// The entry before it.
    pub(super) before_silence: Option<EntryRef<'v>>,
}

impl Request<'_> {
    /// From its first entry to its last.
    pub(super) fn duration_ms(&self) -> f64 {
        self.end.since(self.start).millis()
    }
}

/// Requests that began to fail in the same service with the same kind of message.
#[derive(Debug)]
pub(super) struct Failing<'v, 'r> {
    /// The first error of the first of them.
    pub(super) first: EntryRef<'v>,
    pub(super) requests: u64,
    pub(super) first_at: EventTime,
    pub(super) last_at: EventTime,
    pub(super) example: &'r str,
    /// For each service that came after: how many requests, and the sum of its places.
    spread: Vec<(&'v str, u64, u64)>,
}

impl<'v> Failing<'v, '_> {
    /// Services with errors after the first, in the order in which they mostly came.
    pub(super) fn spreads_to(&self) -> Vec<&'v str> {
        let mut spread = self.spread.clone();
        // By mean place; of two fractions, the products are compared, which is exact.
        spread.sort_by(|a, b| {
            (a.2 * b.1).cmp(&(b.2 * a.1)).then_with(|| b.1.cmp(&a.1)).then_with(|| a.0.cmp(b.0))
        });
        spread.into_iter().map(|(service, ..)| service).collect()
    }
}

/// All requests.
#[derive(Debug, Default)]
pub(super) struct Requests<'v> {
    by_id: HashMap<&'v str, usize>,
    all: Vec<Request<'v>>,
    services: HashMap<&'v str, (u64, u64)>,
    entries: u64,
    start: Option<EventTime>,
    end: Option<EventTime>,
}

impl<'v> Requests<'v> {
    /// Takes the next entry, in the order of time.
    pub(super) fn add(&mut self, entry: EntryRef<'v>) {
        self.entries += 1;
        let time = entry.time();
        if time.is_known() {
            self.start.get_or_insert(time);
            self.end = Some(time);
        }
        let is_error = entry.level().is_some_and(Level::is_error);
        let service = entry.service();
        let counts = self.services.entry(service.unwrap_or("")).or_default();
        counts.0 += 1;
        counts.1 += u64::from(is_error);
        let Some(id) = entry.correlation().or_else(|| entry.trace()) else { return };
        let all = &mut self.all;
        let at = *self.by_id.entry(id).or_insert_with(|| {
            all.push(Request {
                id,
                start: time,
                end: time,
                entries: 0,
                errors: 0,
                first_error: None,
                spread: Vec::new(),
                last: entry,
                silence: Span::ZERO,
                before_silence: None,
            });
            all.len() - 1
        });
        let Some(request) = self.all.get_mut(at) else { return };
        let silence = time.since(request.last.time());
        if silence > request.silence {
            request.silence = silence;
            request.before_silence = Some(request.last);
        }
        request.end = time;
        request.last = entry;
        request.entries += 1;
        if is_error {
            request.errors += 1;
            request.first_error.get_or_insert(entry);
            if let Some(service) = service
                && request.spread.len() < SPREAD_MAX
                && !request.spread.contains(&service)
            {
                request.spread.push(service);
            }
        }
    }

    /// How many entries were taken.
    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }
    /// How many requests they belong to.
    pub(super) fn len(&self) -> u64 {
        self.all.len() as u64
    }
    /// How many of them have an error.
    pub(super) fn failed(&self) -> u64 {
        self.all.iter().filter(|request| request.errors > 0).count() as u64
    }
    /// The first time.
    pub(super) const fn start(&self) -> Option<EventTime> {
        self.start
    }
    /// The last time.
    pub(super) const fn end(&self) -> Option<EventTime> {
        self.end
    }

    /// The services with most entries, and how many services there are.
    pub(super) fn services(&self, most: usize) -> (Vec<Service>, u64) {
        let mut services: Vec<Service> = Vec::new();
        for (service, (entries, errors)) in &self.services {
            if !service.is_empty() {
                services.push(Service { service: (*service).to_owned(), entries: *entries, errors: *errors });
            }
        }
        let total = services.len() as u64;
        services.sort_by(|a, b| b.entries.cmp(&a.entries).then_with(|| a.service.cmp(&b.service)));
        services.truncate(most);
        (services, total)
    }

    /// How long the shortest requests took that make up `share` of them, in milliseconds.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let mut durations: Vec<Span> =
            self.all.iter().map(|request| request.end.since(request.start)).collect();
        durations.sort_unstable();
        #[expect(clippy::cast_possible_truncation, reason = "a share of a length")]
        let at = ((durations.len() as f64 * share).ceil() as usize).max(1) - 1;
        durations.get(at).map(|duration| duration.millis())
    }

    /// The requests that took longest.
    pub(super) fn slowest(&self, most: usize) -> Vec<&Request<'v>> {
        let mut all: Vec<&Request<'v>> = self.all.iter().filter(|request| request.entries > 1).collect();
        let duration = |request: &Request<'_>| request.end.since(request.start);
        all.sort_by(|a, b| duration(b).cmp(&duration(a)).then_with(|| a.id.cmp(b.id)));
        all.truncate(most);
        all
    }

    /// Failing requests by how they began to fail, most requests first.
    pub(super) fn failing(&self) -> Vec<Failing<'v, '_>> {
        let mut by_kind: HashMap<(Option<&str>, Id), usize> = HashMap::new();
        let mut all: Vec<Failing<'v, '_>> = Vec::new();
        // Requests stand in the order of their first entries; failures in that of their first errors.
        let mut failed: Vec<(EntryRef<'v>, &Request<'v>)> =
            self.all.iter().filter_map(|request| Some((request.first_error?, request))).collect();
        failed.sort_by_key(|(first, _)| *first);
        for (first, request) in failed {
            let at = *by_kind.entry((first.service(), first.template())).or_insert_with(|| {
                all.push(Failing {
                    first,
                    requests: 0,
                    first_at: first.time(),
                    last_at: first.time(),
                    example: request.id,
                    spread: Vec::new(),
                });
                all.len() - 1
            });
            let Some(failing) = all.get_mut(at) else { continue };
            failing.requests += 1;
            failing.last_at = first.time();
            let others = request.spread.iter().filter(|service| Some(**service) != first.service());
            for (place, service) in (1..).zip(others) {
                match failing.spread.iter_mut().find(|(known, ..)| known == service) {
                    Some((_, count, sum)) => {
                        *count += 1;
                        *sum += place;
                    }
                    None => failing.spread.push((service, 1, place)),
                }
            }
        }
        all.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.first.cmp(&b.first)));
        all
    }
}
