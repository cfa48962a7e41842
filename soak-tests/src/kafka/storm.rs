//! `kafka`: a fleet in a storm, judged against one calm instance.
//!
//! ```text
//!  traffic ─► topic `lines` ─┬─► fleet: 1 to 4 instances, killed, stopped, started ─► topic `out` ──┐
//!                 ▲          │        brokers killed, restarted, leaders moved                      ├─► judge
//!             broker(s)      └─► afterwards one calm instance ──────────────────────► topic `calm` ─┘
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;

use super::broker::Cluster;
use super::fleet::{Delivery, Fleet, Protocol, Setting, last_lines, resident};
use super::groups::rebalances;
use super::poison::LONGEST_BYTES;
use super::tail::Tail;
use super::topics::write;
use super::traffic::Traffic;
use super::verdict::{Judge, Verdict, Words};
use crate::generate::random::Random;
use crate::process;
use crate::stopwatch::Stopwatch;

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How long the storm lasts.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// About how many lines are written [default: 3000 a second; 2000000 with `--rate`].
    #[arg(long)]
    pub lines: Option<u64>,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(i32).range(1..=64))]
    pub partitions: i32,
    /// Brokers; with three, they are killed and restarted, and leaders move.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub brokers: u8,
    /// What is promised.
    #[arg(long, value_enum, default_value = "at_least_once")]
    pub delivery: Delivery,
    /// How members share partitions.
    #[arg(long, value_enum, default_value = "classic")]
    pub protocol: Protocol,
    /// Stop the broker that is written to for as many seconds: nobody may leave the group, no memory may grow.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60")]
    pub stall: Option<u64>,
    /// Write records that nobody can read in between.
    #[arg(long)]
    pub poison: bool,
    /// Measure rates beside a bare consumer, and the time to catch up after a kill, instead.
    #[arg(long)]
    pub rate: bool,
    /// Decides what is written, and what is done to whom.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Seconds that the fleet may take to catch up after the storm.
    #[arg(long, default_value_t = 240)]
    pub patience: u64,
    /// The binary [default: beside this program].
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// Keep configurations and messages of instances, and what brokers said, in this folder.
    #[arg(long)]
    pub keep: Option<PathBuf>,
}

const SLOTS: usize = 4;
const GROUP: &str = "storm";
/// How long nothing may come before a topic counts as read to its end.
const QUIET: Duration = Duration::from_secs(2);
/// What an instance may grow by while its sink stalls, once its queues are full.
const FLAT_BYTES: u64 = 24 << 20;

/// What is done to a fleet.
struct Storm<'a> {
    options: &'a Options,
    fleet: Fleet,
    random: Random,
    judge: Judge,
    tail: Tail,
    logs: Vec<PathBuf>,
    watch: Stopwatch,
}

/// Runs the test; true when the promise was kept.
///
/// # Errors
/// When brokers or the binary cannot be started.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    let temporary = tempfile::tempdir()?;
    let folder = options.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    let lines = options.lines.unwrap_or(options.seconds * 3000);
    let mut cluster = Cluster::start(usize::from(options.brokers))?;
    // A sink that stalls needs a broker of its own: the one that is read from goes on.
    let other = if options.stall.is_some() { Some(Cluster::start(1)?) } else { None };
    let largest = (LONGEST_BYTES * 2).to_string();
    let settings = [("max.message.bytes", largest.as_str())];
    cluster.create_topic("lines", options.partitions, &settings)?;
    for topic in ["out", "calm"] {
        other.as_ref().unwrap_or(&cluster).create_topic(topic, 4, &settings)?;
    }
    let out_brokers = other.as_ref().map_or_else(|| cluster.brokers(), Cluster::brokers);
    let setting = Setting {
        binary,
        folder,
        brokers: cluster.brokers(),
        topic: "lines".to_owned(),
        out_brokers,
        out_topic: "out".to_owned(),
        group: GROUP.to_owned(),
        delivery: options.delivery,
        protocol: options.protocol,
    };
    let out_client = other.as_ref().map_or_else(|| cluster.client(), Cluster::client);
    let mut storm = Storm {
        options,
        fleet: Fleet::new(setting.clone(), SLOTS)?,
        random: Random::new(options.seed),
        judge: Judge::new(options.partitions),
        tail: Tail::new(out_client.clone(), "out")?,
        logs: cluster.logs(),
        watch: Stopwatch::start(),
    };

    let traffic = Traffic {
        lines,
        partitions: options.partitions,
        seed: options.seed,
        poison: options.poison,
        ends: true,
    };
    let client = cluster.client();
    let (over, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let broken = thread::scope(|scope| {
        let producing = scope.spawn(|| produce(client, traffic, options.seconds, &written));
        let breaking =
            (options.brokers > 1).then(|| scope.spawn(|| break_brokers(&mut cluster, options.seed, &over)));
        let done = storm.rage(&producing, breaking.as_ref(), other.as_ref(), out);
        // Whatever happened, the threads end.
        over.store(true, Ordering::Release);
        let produced = producing.join().map_err(|_| io::Error::other("the writer failed"))?;
        let broken =
            breaking.map(|thread| thread.join().map_err(|_| io::Error::other("the brokers' thread failed")));
        done?;
        produced?;
        broken.transpose()?.transpose()
    })?;
    if let Some(broken) = broken {
        writeln!(out, "brokers: {broken}")?;
    }
    storm.catch_up(out)?;
    let written = written.load(Ordering::Relaxed);
    let verdict = storm.compare(
        &Setting { out_topic: "calm".to_owned(), group: "calm".to_owned(), ..setting },
        &out_client,
        out,
    )?;
    storm.report(verdict, written, &cluster, &out_client, out)
}

/// Writes the traffic as it would happen, over most of the storm.
fn produce(client: ClientConfig, traffic: Traffic, seconds: u64, written: &AtomicU64) -> io::Result<u64> {
    let watch = Stopwatch::start();
    let rate = traffic.lines as f64 / (seconds as f64 * 0.9).max(1.0);
    let mut count = 0_u64;
    let paced = traffic.messages().inspect(|_| {
        count += 1;
        written.store(count, Ordering::Relaxed);
        // In small bursts, as writers flush.
        if count.is_multiple_of(64) {
            let ahead = count as f64 / rate - watch.seconds();
            if ahead > 0.0 {
                thread::sleep(Duration::from_secs_f64(ahead));
            }
        }
    });
    write(client, "lines", paced)
}

/// Kills and restarts brokers, one at a time, and moves leaders, until it is `over`; says what was done.
fn break_brokers(cluster: &mut Cluster, seed: u64, over: &AtomicBool) -> io::Result<String> {
    let mut random = Random::new(seed ^ 0xb0b);
    let (mut restarts, mut moves) = (0, 0);
    let pause = |random: &mut Random| {
        let watch = Stopwatch::start();
        let time = Duration::from_millis(random.between(2000, 6000));
        while watch.elapsed() < time && !over.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(50));
        }
    };
    pause(&mut random);
    while !over.load(Ordering::Acquire) {
        if random.chance(60) {
            let id = usize::try_from(random.between(1, cluster.nodes() as u64)).unwrap_or(1);
            cluster.restart(id)?;
            restarts += 1;
        } else {
            let topic = random.pick(&["lines", "out"]);
            cluster.move_leader(topic, 0)?;
            moves += 1;
        }
        pause(&mut random);
    }
    Ok(format!("{restarts} killed and restarted, {moves} leaders moved"))
}

impl Storm<'_> {
    /// Lets the storm rage until its time is over and everything is written.
    fn rage(
        &mut self,
        producing: &ScopedJoinHandle<'_, io::Result<u64>>,
        breaking: Option<&ScopedJoinHandle<'_, io::Result<String>>>,
        sink: Option<&Cluster>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let seconds = Duration::from_secs(self.options.seconds);
        let mut stall = self.options.stall;
        self.fleet.start(0)?;
        self.fleet.start(1)?;
        let mut next = Duration::from_secs(3);
        while self.watch.elapsed() < seconds || !producing.is_finished() {
            // It ends by itself only when a broker cannot be mended; then nobody can write any more.
            if breaking.is_some_and(ScopedJoinHandle::is_finished) {
                break;
            }
            self.listen(Duration::from_millis(50))?;
            if let (Some(length), Some(sink)) = (stall, sink)
                && self.watch.elapsed() > seconds / 3
            {
                stall = None;
                self.stall(sink, Duration::from_secs(length), out)?;
            }
            if self.watch.elapsed() > next {
                self.strike()?;
                next = self.watch.elapsed() + Duration::from_millis(self.random.between(500, 3500));
            }
        }
        Ok(())
    }

    fn listen(&mut self, time: Duration) -> io::Result<u64> {
        self.fleet.tend()?;
        let judge = &mut self.judge;
        Ok(self.tail.read(time, &mut |value| judge.storm(value)))
    }

    /// Does something to somebody; there is always somebody left or coming.
    fn strike(&mut self) -> io::Result<()> {
        let (running, idle) = (self.fleet.running(), self.fleet.idle());
        let one_of = |random: &mut Random, numbers: &[usize]| {
            numbers.get(usize::try_from(random.below(numbers.len() as u64)).unwrap_or(0)).copied()
        };
        if running.is_empty() || (running.len() == 1 && self.random.chance(50)) {
            let started = one_of(&mut self.random, &idle);
            return started.map_or(Ok(()), |number| self.fleet.start(number));
        }
        let Some(victim) = one_of(&mut self.random, &running) else { return Ok(()) };
        match self.random.below(100) {
            0..55 => {
                self.fleet.kill(victim)?;
                // Most are started again at once, as a supervisor does.
                if self.random.chance(60) {
                    self.fleet.start(victim)?;
                }
            }
            55..70 => self.fleet.stop(victim)?,
            _ => {
                if let Some(number) = one_of(&mut self.random, &idle) {
                    self.fleet.start(number)?;
                }
            }
        }
        Ok(())
    }

    /// Lets nobody answer who is written to: no member may leave, no memory may grow.
    fn stall(&mut self, sink: &Cluster, length: Duration, out: &mut dyn Write) -> io::Result<()> {
        for number in 0..2 {
            self.fleet.start(number)?;
        }
        let mut steady = Stopwatch::start();
        let mut before = rebalances(&self.logs, GROUP);
        while steady.elapsed() < Duration::from_secs(8) {
            self.listen(Duration::from_millis(200))?;
            let now = rebalances(&self.logs, GROUP);
            if now != before {
                (steady, before) = (Stopwatch::start(), now);
            }
        }
        sink.freeze()?;
        let watch = Stopwatch::start();
        let pids = self.fleet.pids();
        let (mut full, mut most) = (0, 0);
        while watch.elapsed() < length {
            self.listen(Duration::from_millis(500))?;
            let bytes = resident(&pids);
            if watch.elapsed() < length / 3 {
                full = full.max(bytes);
            }
            most = most.max(bytes);
        }
        sink.thaw()?;
        let moved = rebalances(&self.logs, GROUP) - before;
        let grown = most.saturating_sub(full);
        writeln!(
            out,
            "stall of {} s: rebalances={moved} instances={} resident after a third {} MB, at most {} MB",
            length.as_secs(),
            pids.len(),
            full >> 20,
            most >> 20,
        )?;
        if moved > 0 {
            self.fleet.faults.push(format!("{moved} rebalances while the sink stalled"));
        }
        if grown > FLAT_BYTES * pids.len() as u64 {
            self.fleet.faults.push(format!("memory grew by {} MB while the sink stalled", grown >> 20));
        }
        if self.fleet.pids() != pids {
            self.fleet.faults.push("an instance ended while the sink stalled".to_owned());
        }
        Ok(())
    }

    /// Lets the fleet finish what is there, and ends it.
    fn catch_up(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let watch = Stopwatch::start();
        let patience = Duration::from_secs(self.options.patience);
        while !self.judge.is_complete() && watch.elapsed() < patience {
            for number in self.fleet.idle() {
                self.fleet.start(number)?;
            }
            self.listen(Duration::from_millis(100))?;
        }
        if !self.judge.is_complete() {
            let missing = self.judge.missing().join(", ");
            self.fleet.faults.push(format!("not caught up after {} s: {missing}", patience.as_secs()));
        }
        writeln!(out, "caught up in {:.1} s", watch.seconds())?;
        self.fleet.stop_all()?;
        while self.listen(QUIET)? > 0 {}
        Ok(())
    }

    /// One instance, no faults, the same topic.
    fn compare(
        &mut self,
        setting: &Setting,
        client: &ClientConfig,
        out: &mut dyn Write,
    ) -> io::Result<Verdict> {
        let watch = Stopwatch::start();
        self.judge.next_run();
        let mut calm = Fleet::new(setting.clone(), 1)?;
        let tail = Tail::new(client.clone(), &setting.out_topic)?;
        calm.start(0)?;
        while !self.judge.is_complete() && watch.elapsed() < Duration::from_secs(self.options.patience) {
            calm.tend()?;
            tail.read(Duration::from_millis(100), &mut |value| self.judge.calm(value));
            if calm.pids().is_empty() {
                break;
            }
        }
        if !self.judge.is_complete() {
            let words = calm.last_words(0);
            calm.faults.push(format!(
                "the calm run did not end: {} missing: {words}",
                self.judge.missing().join(", ")
            ));
        }
        calm.stop_all()?;
        while tail.read(QUIET, &mut |value| self.judge.calm(value)) > 0 {}
        self.fleet.faults.append(&mut calm.faults);
        writeln!(out, "calm run in {:.1} s", watch.seconds())?;
        Ok(self.judge.verdict())
    }

    fn report(
        &mut self,
        verdict: Verdict,
        written: u64,
        cluster: &Cluster,
        client: &ClientConfig,
        out: &mut dyn Write,
    ) -> io::Result<bool> {
        let exactly_once = self.options.delivery == Delivery::ExactlyOnce;
        // Who never commits loses nothing, and reads everything again for ever.
        let committed = cluster.committed(GROUP, "lines", self.options.partitions)?;
        if committed.len() != usize::try_from(self.options.partitions).unwrap_or(0) {
            self.fleet.faults.push(format!("only {} partitions were committed", committed.len()));
        }
        let holds = verdict.holds(exactly_once) && self.fleet.faults.is_empty();
        for example in self.judge.examples() {
            writeln!(out, "  {example}")?;
        }
        if !verdict.holds(exactly_once) {
            for topic in ["calm", "out"] {
                self.show_faults(topic, client, out)?;
            }
        }
        if let Some(folder) = &self.options.keep {
            for (at, log) in self.logs.iter().enumerate() {
                std::fs::copy(log, folder.join(format!("broker-{}.log", at + 1)))?;
            }
        }
        for fault in &self.fleet.faults {
            writeln!(out, "  {fault}")?;
        }
        if !holds {
            for log in &self.logs {
                writeln!(out, "  broker: {}", last_lines(log, 3))?;
            }
            writeln!(out, "seed={}", self.options.seed)?;
        }
        let Verdict { records, kinds, invented, repeated, torn, contradictions, .. } = verdict;
        writeln!(
            out,
            "{} lines={written} kills={} rebalances={} seed={} records={records} timelines={} findings={} \
             repeated={repeated} invented={invented} torn={torn} contradictory={contradictions} gave_up={} {}",
            Words(verdict, exactly_once),
            self.fleet.kills,
            rebalances(&self.logs, GROUP),
            self.options.seed,
            kinds[0],
            kinds[1],
            self.fleet.gave_up,
            if holds { "held" } else { "FAILED" },
        )?;
        Ok(holds)
    }

    /// Shows the first records at fault, and keeps all of them where that is wanted.
    fn show_faults(&self, topic: &str, client: &ClientConfig, out: &mut dyn Write) -> io::Result<()> {
        let mut file = match &self.options.keep {
            Some(folder) => Some(File::create(folder.join(format!("faults-{topic}.ndjson")))?),
            None => None,
        };
        let mut left = 4;
        let tail = Tail::new(client.clone(), topic)?;
        // What cannot be shown does not change the verdict.
        let mut show = |value: &[u8]| {
            if !self.judge.is_at_fault(value) {
                return;
            }
            if let Some(file) = &mut file {
                let _written = file.write_all(&[value, b"\n"].concat());
            }
            if left > 0 {
                left -= 1;
                let text: String = String::from_utf8_lossy(value).chars().take(600).collect();
                let _shown = writeln!(out, "  {topic}: {text}");
            }
        };
        while tail.read(QUIET * 2, &mut show) > 0 {}
        Ok(())
    }
}
