//! `kafka --rate`: how fast lines become records, beside a bare consumer that reads the same topic and throws it away;
//! and how soon an instance that was killed has caught up.
//!
//! Whoever reads takes turns with the others, so that a slow minute of the machine is everybody's.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::broker::Cluster;
use super::fleet::last_lines;
use super::storm::Options;
use super::topics::write;
use super::traffic::Traffic;
use crate::process;
use crate::stopwatch::{Stopwatch, median};

/// Lines that are read, unless told otherwise: at the traffic's 2000 lines a second of event time, 16 minutes.
const LINES: u64 = 2_000_000;
/// How often everybody reads everything.
const ROUNDS: usize = 3;
/// How long a reader may go without anything new.
const PATIENCE: Duration = Duration::from_mins(2);

/// Where the records of an instance go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Null,
    Topic,
}

/// Runs the measurements; true when logbraid reaches the share that is promised of a bare consumer's rate.
///
/// # Errors
/// When brokers or the binary cannot be started, or nothing is read.
pub fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let binary = process::binary(options.binary.as_deref())?;
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(1)?;
    cluster.create_topic("lines", options.partitions, &[])?;
    cluster.create_topic("out", 4, &[])?;
    let traffic = Traffic {
        lines: options.lines.unwrap_or(LINES),
        partitions: options.partitions,
        seed: options.seed,
        poison: false,
        // Requests and jobs stay open where the topic ends, as they do in life.
        ends: false,
    };
    let watch = Stopwatch::start();
    let mut bytes = 0;
    let messages = traffic.messages().inspect(|message| bytes += message.value.as_ref().map_or(0, Vec::len));
    let lines = write(cluster.client(), "lines", messages)?;
    writeln!(
        out,
        "{lines} lines, {} MB, in {} partitions, written in {:.1} s",
        bytes / 1_000_000,
        options.partitions,
        watch.seconds()
    )?;

    let bench = Bench { binary: &binary, folder: folder.path(), cluster: &cluster, lines };
    let mut rates: [Vec<f64>; 3] = Default::default();
    for round in 1..=ROUNDS {
        let bare = bench.bare(round)?;
        let null = bench.logbraid(&format!("null-{round}"), To::Null)?;
        let topic = bench.logbraid(&format!("topic-{round}"), To::Topic)?;
        for (rates, rate) in rates.iter_mut().zip([bare, null, topic]) {
            rates.push(rate);
        }
        writeln!(
            out,
            "round {round}: bare {bare:.0}/s, logbraid {null:.0}/s, with records to a topic {topic:.0}/s"
        )?;
    }
    let [bare, null, topic] = rates.map(|mut rates| median(&mut rates));
    let (replayed, seconds) = bench.restart()?;
    writeln!(out, "restart after a kill: {replayed} lines read again, caught up after {seconds:.2} s")?;
    let holds = null >= bare * 0.7;
    writeln!(
        out,
        "rate: bare={bare:.0} logbraid={null:.0} ratio={:.2} to_topic={topic:.0} ratio_to_topic={:.2} lines={lines} {}",
        null / bare,
        topic / bare,
        if holds { "held" } else { "FAILED" }
    )?;
    Ok(holds)
}

struct Bench<'a> {
    binary: &'a Path,
    folder: &'a Path,
    cluster: &'a Cluster,
    lines: u64,
}

impl Bench<'_> {
    /// Lines a second of a consumer that only counts, from its first to its last.
    fn bare(&self, round: usize) -> io::Result<f64> {
        let mut client = self.cluster.client();
        client.set("group.id", format!("bare-{round}")).set("auto.offset.reset", "earliest");
        client.set("enable.auto.commit", "false").set("isolation.level", "read_committed");
        let consumer: BaseConsumer = client.create().map_err(io::Error::other)?;
        consumer.subscribe(&["lines"]).map_err(io::Error::other)?;
        let (mut count, mut bytes, mut began) = (0_u64, 0, None);
        let silent = Stopwatch::start();
        while count < self.lines {
            // Nothing comes back early, too: for one, when partitions have been assigned.
            match consumer.poll(Duration::from_secs(1)) {
                Some(Ok(message)) => {
                    began.get_or_insert_with(Stopwatch::start);
                    count += 1;
                    bytes += message.payload_len();
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                None if count == 0 && silent.elapsed() < PATIENCE => {}
                None => {
                    return Err(io::Error::other(format!(
                        "the bare consumer stopped at {count} lines, {bytes} bytes"
                    )));
                }
            }
        }
        Ok(count as f64 / began.map_or(f64::INFINITY, Stopwatch::seconds))
    }

    /// Lines a second of the binary with its whole chain, from its first to its last.
    fn logbraid(&self, group: &str, to: To) -> io::Result<f64> {
        let mut instance = self.start(group, to)?;
        let mut began = None;
        let seconds = loop {
            let count = instance.figure("logbraid_in_events_total")?;
            if count > 0 && began.is_none() {
                began = Some((Stopwatch::start(), count));
            }
            if let Some((watch, first)) = began
                && count >= self.lines
            {
                break watch.seconds() * self.lines as f64 / (self.lines - first).max(1) as f64;
            }
            instance.pause()?;
        };
        process::terminate(instance.into_child(), PATIENCE)?;
        Ok(self.lines as f64 / seconds)
    }

    /// Kills an instance that has read everything, with a job open that goes back ten minutes; returns how many lines
    /// the next one reads again, and the seconds from its start until it has.
    fn restart(&self) -> io::Result<(u64, f64)> {
        let mut instance = self.start("window", To::Null)?;
        while instance.figure("logbraid_in_events_total")? < self.lines {
            instance.pause()?;
        }
        // Time for the last commit.
        thread::sleep(Duration::from_secs(3));
        // As a crash would.
        drop(instance);
        let partitions = i32::try_from(self.cluster.end("lines")?.len()).unwrap_or(0);
        let committed = self.cluster.committed("window", "lines", partitions)?;
        let ends = self.cluster.end("lines")?;
        let behind: i64 = ends
            .iter()
            .map(|(partition, end)| end - committed.get(partition).map_or(0, |(offset, _)| *offset))
            .sum();
        let behind = u64::try_from(behind).unwrap_or(0);
        let watch = Stopwatch::start();
        let mut instance = self.start("window", To::Null)?;
        while instance.figure("logbraid_in_events_total")? < behind {
            instance.pause()?;
        }
        let seconds = watch.seconds();
        process::terminate(instance.into_child(), PATIENCE)?;
        Ok((behind, seconds))
    }

    fn start(&self, group: &str, to: To) -> io::Result<Instance> {
        // Free at this moment; nobody else here takes ports.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let brokers = self.cluster.brokers();
        let sink = match to {
            To::Null => "stdout: { take: [timelines, findings] }".to_owned(),
            To::Topic => {
                format!("kafka: {{ brokers: '{brokers}', topic: out, take: [timelines, findings] }}")
            }
        };
        // Time stands still at the topic's end: what is open there stays open.
        let config = format!(
            "sources:\n  - kafka:\n      brokers: '{brokers}'\n      topics: [lines]\n      group: {group}\n      \
             membership: static\n      instance_id: {group}\n\
             time: {{ max_delay: 2s, idle_after: 1h, allowed_lateness: 10s }}\n\
             operators:\n  - thread: {{}}\n  - correlate: {{ gap: 30s, max_span: 10m }}\n  - hierarchy: {{}}\n  \
             - error_flow: {{}}\n\
             sinks:\n  - {sink}\nadmin: {{ listen: '127.0.0.1:{port}' }}\n"
        );
        let path = self.folder.join(format!("{group}.yaml"));
        fs::write(&path, config)?;
        let errors = self.folder.join(format!("{group}.err"));
        let mut command = Command::new(self.binary);
        command.arg("run").arg("-c").arg(path).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(File::create(&errors)?).spawn()?;
        Ok(Instance { child: Some(child), port, errors, last: 0, fresh: Stopwatch::start() })
    }
}

/// One process, and its figures.
struct Instance {
    child: Option<Child>,
    port: u16,
    errors: std::path::PathBuf,
    last: u64,
    /// Since the last figure changed.
    fresh: Stopwatch,
}

impl Instance {
    /// A figure of `/metrics`; 0 before it answers.
    fn figure(&mut self, name: &str) -> io::Result<u64> {
        let text = get(self.port, "/metrics").unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        let value = found.unwrap_or(0);
        if value != self.last {
            self.last = value;
            self.fresh = Stopwatch::start();
        }
        if self.fresh.elapsed() > PATIENCE {
            let words = last_lines(&self.errors, 6);
            return Err(io::Error::other(format!("{name} stands still at {value}: {words}")));
        }
        Ok(value)
    }

    /// Waits a little; fails when the process has ended.
    fn pause(&mut self) -> io::Result<()> {
        thread::sleep(Duration::from_millis(10));
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait()?
        {
            let words = last_lines(&self.errors, 6);
            return Err(io::Error::other(format!("logbraid ended with {status}: {words}")));
        }
        Ok(())
    }

    fn into_child(mut self) -> Child {
        self.child.take().expect("only this takes the process, and it takes the value as well")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _gone = child.kill();
            let _status = child.wait();
        }
    }
}

/// What the admin endpoint at `port` says under `path`.
fn get(port: u16, path: &str) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
