//! What a fleet would write to a topic: requests through five services, each request in one partition, drawn from a seed.
//!
//! ```text
//!  requests begin ─► lines at their times ─► by arrival: time + jitter, some late ─► one partition
//!  partition 0 ┐
//!  partition 1 ├─► by arrival ─► (partition, key, value)
//!  partition … ┘                  └─ poison in between, sentinels at the end
//! ```
//!
//! Each partition ends with a **sentinel**: a request ten minutes after all others, and two lines after that which close
//! it. Whoever has seen the sentinels' timelines has seen everything that was due before.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::poison::Poison;
use crate::generate::random::Random;
use crate::generate::stamp::{Stamps, T0_US, number, padded};

const SECOND_US: u64 = 1_000_000;
/// Microseconds between requests of one partition.
const REQUEST_EVERY_US: u64 = 48_000;
/// How far out of order lines may arrive; less than the `max_delay` that they are read with.
const JITTER_US: u64 = 1_200_000;
/// How late lines are that reopen a request, and those that come after all patience.
const LATE_US: [u64; 2] = [7 * SECOND_US, 90 * SECOND_US];
/// Of this many seconds, the first few are an outage of the database.
const OUTAGE_EVERY_S: u64 = 40;
const OUTAGE_S: u64 = 4;
/// Microseconds between lines of the job that each partition has: a request without an end.
const JOB_EVERY_US: u64 = 2 * SECOND_US;

/// How many lines end a partition.
const ENDING: u8 = 3;

/// Who calls whom: a service, and the one that calls it.
const SERVICES: [(&str, usize); 5] =
    [("gateway", 0), ("orders", 0), ("inventory", 1), ("payments", 1), ("payments-db", 3)];

/// What to write.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// About how many lines in all partitions together.
    pub lines: u64,
    /// How many partitions.
    pub partitions: i32,
    /// Decides every draw.
    pub seed: u64,
    /// With records that nobody can read in between.
    pub poison: bool,
    /// With a sentinel at the end of each partition.
    pub ends: bool,
}

/// A message for a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// The partition.
    pub partition: i32,
    /// The key: the request.
    pub key: Option<Vec<u8>>,
    /// The content; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

/// The name of the request that ends a partition.
pub fn sentinel(partition: i32) -> String {
    format!("sentinel-{partition}")
}

impl Traffic {
    /// All messages, in the order in which they are written.
    pub fn messages(self) -> impl Iterator<Item = Message> {
        let each = self.lines / u64::try_from(self.partitions.max(1)).unwrap_or(1);
        let mut lanes: Vec<Lane> =
            (0..self.partitions.max(1)).map(|partition| Lane::new(self, partition, each)).collect();
        let mut random = Random::new(self.seed ^ 0xfeed);
        let mut poison = self.poison.then(|| Poison::new(self.seed));
        let mut pending = None;
        std::iter::from_fn(move || {
            if let Some(message) = pending.take() {
                return Some(message);
            }
            // The lane that is furthest behind is next, as brokers receive what happens at one time at one time.
            let next =
                lanes.iter_mut().filter_map(|lane| Some((lane.arrival()?, lane))).min_by_key(|(at, _)| *at);
            let message = next.and_then(|(_, lane)| lane.next())?;
            if let Some(poison) = &mut poison
                && random.below(400) == 0
            {
                pending = Some(poison.draw(&message));
            }
            Some(message)
        })
    }
}

/// A line that waits for its arrival.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    arrival_us: u64,
    /// Keeps lines of one arrival apart.
    number: u64,
    time_us: u64,
    /// 0 for the job.
    request: u64,
    service: usize,
    thread: u64,
    /// Without ids: who works on the thread is to be found out.
    bare: bool,
    level: &'static str,
    text: String,
}

/// One partition.
struct Lane {
    partition: i32,
    random: Random,
    /// Lines that are still to be drawn.
    left: u64,
    numbered: u64,
    requests: u64,
    /// When the next request begins.
    next_us: u64,
    /// When the job says something next.
    job_us: u64,
    waiting: BinaryHeap<Reverse<Line>>,
    stamps: Stamps,
    ending: u8,
    last_us: u64,
}

impl Lane {
    fn new(traffic: Traffic, partition: i32, left: u64) -> Self {
        let seed = traffic.seed.wrapping_mul(1_000_003).wrapping_add(u64::from(partition.unsigned_abs()));
        Self {
            partition,
            random: Random::new(seed),
            left,
            numbered: 0,
            requests: 0,
            next_us: T0_US,
            job_us: T0_US,
            waiting: BinaryHeap::new(),
            stamps: Stamps::default(),
            ending: if traffic.ends { 0 } else { ENDING },
            last_us: T0_US,
        }
    }

    /// When the next line arrives.
    fn arrival(&mut self) -> Option<u64> {
        // A request that begins later cannot have a line that arrives earlier.
        while self.left > 0 && self.waiting.peek().is_none_or(|Reverse(line)| line.arrival_us >= self.next_us)
        {
            self.draw_request();
        }
        match self.waiting.peek() {
            Some(Reverse(line)) => Some(line.arrival_us),
            None if self.ending < ENDING => Some(u64::MAX - u64::from(ENDING - self.ending)),
            None => None,
        }
    }

    fn next(&mut self) -> Option<Message> {
        self.arrival()?;
        if let Some(Reverse(line)) = self.waiting.pop() {
            self.last_us = self.last_us.max(line.time_us);
            return Some(self.lay_out(&line));
        }
        // The sentinel, then two lines that close it: the second is for what waits behind `max_delay`.
        let (minutes, request) = [(10, 0), (20, 1), (30, 2)].get(usize::from(self.ending)).copied()?;
        self.ending += 1;
        let time_us = self.last_us + minutes * 60 * SECOND_US;
        let name = if request == 0 {
            sentinel(self.partition)
        } else {
            format!("after-{}-{request}", self.partition)
        };
        let mut value = b"{\"timestamp\":\"".to_vec();
        self.stamps.iso(&mut value, time_us);
        value.extend_from_slice(
            format!("\",\"level\":\"INFO\",\"service\":\"gateway\",\"correlation_id\":\"{name}\",\"message\":\"the end\"}}")
                .as_bytes(),
        );
        Some(Message { partition: self.partition, key: Some(name.into_bytes()), value: Some(value) })
    }

    fn add(
        &mut self,
        time_us: u64,
        request: u64,
        service: usize,
        thread: u64,
        level: &'static str,
        text: String,
    ) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let drawn = self.random.below(1000);
        let late = match drawn {
            0 => LATE_US[1],
            1..=3 => LATE_US[0],
            _ => 0,
        };
        let arrival_us = time_us + late + self.random.below(JITTER_US);
        let bare = late == 0 && drawn >= 980;
        self.numbered += 1;
        let number = self.numbered;
        self.waiting.push(Reverse(Line {
            arrival_us,
            number,
            time_us,
            request,
            service,
            thread,
            bare,
            level,
            text,
        }));
    }

    fn draw_request(&mut self) {
        let begin = self.next_us;
        self.next_us += self.random.between(REQUEST_EVERY_US / 2, REQUEST_EVERY_US * 3 / 2);
        while self.job_us <= begin {
            let time = self.job_us;
            self.job_us += JOB_EVERY_US;
            self.add(time, 0, 2, 99, "INFO", "counting what is in store".to_owned());
        }
        self.requests += 1;
        let request = self.requests;
        let outage = (begin - T0_US) / SECOND_US % OUTAGE_EVERY_S < OUTAGE_S;
        let fails = self.random.chance(if outage { 60 } else { 1 });
        // Most take a second, some longer than the pause that ends a request, a few longer than a request may last.
        let scale = match self.random.below(2000) {
            0 => 100,
            1..=20 => 8,
            _ => 1,
        };
        let thread = self.random.below(12);
        let mut at = begin;
        let mut step = |lane: &mut Self| {
            at += lane.random.between(5_000, 90_000) * scale;
            at
        };
        for (service, (name, _)) in SERVICES.iter().enumerate() {
            let time = step(self);
            let amount = self.random.between(1, 500);
            self.add(
                time,
                request,
                service,
                thread,
                "INFO",
                format!("{name} takes on request {request} of {amount} items"),
            );
            if self.random.chance(30) {
                let time = step(self);
                let took = self.random.between(1, 400);
                self.add(time, request, service, thread, "WARN", format!("slow answer in {took}ms"));
            }
        }
        for service in (0..SERVICES.len()).rev() {
            let time = step(self);
            let (name, caller) = SERVICES[service];
            let (level, text) = match (fails, service) {
                (true, 4) => ("ERROR", "too many connections: pool of 20 is exhausted".to_owned()),
                (true, 3) => ("ERROR", "charging failed: payments-db did not answer".to_owned()),
                (true, 1) => ("ERROR", "order is lost: payments answered 503".to_owned()),
                (true, 0) => ("ERROR", "POST /orders 502".to_owned()),
                _ => ("INFO", format!("{name} answers {}", SERVICES[caller].0)),
            };
            self.add(time, request, service, thread, level, text);
            if fails && service == 3 && self.random.chance(50) {
                for attempt in 1..=3 {
                    let time = step(self);
                    let text = format!("retry attempt {attempt} for /charge");
                    self.add(time, request, service, thread, "WARN", text);
                }
            }
        }
    }

    fn lay_out(&mut self, line: &Line) -> Message {
        let Line { time_us, request, service, thread, bare, level, text, .. } = line;
        let (name, caller) = SERVICES[*service];
        let lane = u64::from(self.partition.unsigned_abs());
        let job = *request == 0;
        let mut key = if job { b"job-".to_vec() } else { b"req-".to_vec() };
        number(&mut key, lane);
        if !job {
            key.push(b'-');
            padded(&mut key, *request, 6);
        }
        let mut out = b"{\"timestamp\":\"".to_vec();
        self.stamps.iso(&mut out, *time_us);
        let add = |out: &mut Vec<u8>, texts: &[&str]| {
            for text in texts {
                out.extend_from_slice(text.as_bytes());
            }
        };
        // The service's own threads; they are shared by requests, as pools are.
        add(&mut out, &["\",\"level\":\"", level, "\",\"service\":\"", name, "\",\"host\":\"", name, "-"]);
        number(&mut out, lane);
        add(&mut out, &["\",\"thread\":\"worker-"]);
        number(&mut out, *thread);
        if !bare {
            add(&mut out, &["\",\"correlation_id\":\""]);
            out.extend_from_slice(&key);
        }
        if !bare && !job {
            add(&mut out, &["\",\"span_id\":\""]);
            out.extend_from_slice(&key);
            add(&mut out, &["-", name]);
            if *service > 0 {
                add(&mut out, &["\",\"parent_span_id\":\""]);
                out.extend_from_slice(&key);
                add(&mut out, &["-", SERVICES[caller].0]);
            }
        }
        add(&mut out, &["\",\"message\":\"", text, "\"}"]);
        Message { partition: self.partition, key: Some(key), value: Some(out) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const TRAFFIC: Traffic = Traffic { lines: 20_000, partitions: 4, seed: 7, poison: true, ends: true };

    #[test]
    fn equal_seeds_write_equal_messages() {
        assert!(TRAFFIC.messages().eq(TRAFFIC.messages()));
        assert!(!TRAFFIC.messages().eq(Traffic { seed: 8, ..TRAFFIC }.messages()));
    }

    #[test]
    fn every_request_stays_in_one_partition_and_every_partition_ends_with_its_sentinel() {
        let mut homes: BTreeMap<Vec<u8>, BTreeSet<i32>> = BTreeMap::new();
        let mut sentinels = BTreeSet::new();
        let (mut lines, mut strange) = (0, 0);
        for Message { partition, key, value } in TRAFFIC.messages() {
            let text = value.map(String::from_utf8).and_then(Result::ok);
            match text.filter(|text| {
                serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.is_object())
            }) {
                Some(text) if text.contains("the end") => {
                    sentinels.extend(text.contains(&sentinel(partition)).then_some(partition));
                }
                Some(_) => lines += 1,
                None => strange += 1,
            }
            if let Some(key) = key.filter(|key| key.starts_with(b"req-")) {
                homes.entry(key).or_default().insert(partition);
            }
        }
        assert!((19_900..20_100).contains(&lines), "{lines}");
        assert!(strange > 20, "{strange}");
        assert_eq!(sentinels.len(), 4);
        assert!(homes.values().all(|homes| homes.len() == 1));
    }
}
