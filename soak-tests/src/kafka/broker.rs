//! Real brokers: Apache Kafka in KRaft mode, one node or three, in a temporary folder on free ports of the loopback
//! interface. Everything ends with the value.
//!
//! ```text
//!  jars (Maven) ─► format storage ─► java kafka.Kafka ─► metadata answers ─► Cluster
//!                                                             kill, restart, move_leader ─┘
//! ```
//!
//! Every node listens without authentication for the tests' own clients, who may do everything, and a second time with
//! SASL/PLAIN, where `logbraid` may do everything and `guest` nothing.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use super::jars;
use crate::process;
use crate::stopwatch::Stopwatch;

/// The password of `logbraid` at the listener with authentication.
pub const PASSWORD: &str = "correct horse";
/// The password of `guest`, who may do nothing.
pub const GUEST_PASSWORD: &str = "battery staple";
/// How long a node may take to begin or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why no cluster can be started here, in words for a skipped test; `None` when one can.
pub fn missing() -> Option<String> {
    jars::missing()
}

#[derive(Debug)]
struct Node {
    id: usize,
    folder: PathBuf,
    port: u16,
    sasl_port: u16,
    process: Option<Child>,
}

/// Brokers, and the folder that they live in. Dropping it ends them and removes the folder.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    jars: PathBuf,
    /// Removed with the value.
    folder: TempDir,
}

impl Cluster {
    /// Starts `nodes` brokers, 1 to 3, and returns when all of them answer: after about 5 seconds for one.
    ///
    /// # Errors
    /// When Java or Maven is missing, the jars cannot be had, or a node does not answer within a minute; the error
    /// carries the last words of the node.
    pub fn start(nodes: usize) -> io::Result<Self> {
        if let Some(why) = missing() {
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        let jars = jars::folder()?;
        let folder = tempfile::Builder::new().prefix("logbraid-kafka-").tempdir()?;
        let count = nodes.clamp(1, 3);
        let ports = free_ports(count * 3)?;
        let controllers: Vec<u16> = ports[..count].to_vec();
        let nodes = (0..count)
            .map(|at| {
                let (port, sasl_port) = (ports[count + at], ports[2 * count + at]);
                Node {
                    id: at + 1,
                    folder: folder.path().join(format!("node-{}", at + 1)),
                    port,
                    sasl_port,
                    process: None,
                }
            })
            .collect();
        fs::write(folder.path().join("log4j2.properties"), jars::LOG4J)?;
        let mut cluster = Self { nodes, jars, folder };
        cluster.format(&controllers)?;
        for at in 0..count {
            cluster.spawn(at)?;
        }
        cluster.wait_until_ready(count)?;
        Ok(cluster)
    }

    /// `host:port` of every node, for clients without authentication.
    pub fn brokers(&self) -> String {
        self.addresses(|node| node.port)
    }

    /// `host:port` of every node, for clients with SASL/PLAIN over an open connection.
    pub fn sasl_brokers(&self) -> String {
        self.addresses(|node| node.sasl_port)
    }

    fn addresses(&self, port: impl Fn(&Node) -> u16) -> String {
        let all: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", port(node))).collect();
        all.join(",")
    }

    /// How many nodes there are, running or not.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Settings of a client that reaches every node.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers());
        config.set_log_level(RDKafkaLogLevel::Error);
        config
    }

    /// Ends node `id` (from 1) at once, as a crash would: nothing is flushed, no leader is handed over.
    pub fn kill(&mut self, id: usize) -> io::Result<()> {
        let node = self.node(id)?;
        if let Some(mut process) = node.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Asks node `id` to end: it hands its leaders over first.
    pub fn stop_node(&mut self, id: usize) -> io::Result<()> {
        let node = self.node(id)?;
        if let Some(process) = node.process.take() {
            process::terminate(process, PATIENCE)?;
        }
        Ok(())
    }

    /// Starts node `id` again, after ending it if it runs, and returns when it answers.
    pub fn restart(&mut self, id: usize) -> io::Result<()> {
        self.kill(id)?;
        self.spawn(id - 1)?;
        let running = self.nodes.iter().filter(|node| node.process.is_some()).count();
        self.wait_until_ready(running)
    }

    /// Moves the leader of a partition to another node: its node is ended in order and started again. Returns the
    /// node that leads then; the same as before where no other one could take over within a minute.
    pub fn move_leader(&mut self, topic: &str, partition: i32) -> io::Result<i32> {
        let before = self.leader(topic, partition)?;
        let id = usize::try_from(before).map_err(|_| io::Error::other("the partition has no leader"))?;
        self.stop_node(id)?;
        let watch = Stopwatch::start();
        let now = loop {
            match self.leader(topic, partition) {
                Ok(now) if now != before && now > 0 => break now,
                _ if watch.elapsed() > PATIENCE => break before,
                _ => thread::sleep(Duration::from_millis(100)),
            }
        };
        self.restart(id)?;
        Ok(now)
    }

    /// The node that leads a partition; negative when none does.
    pub fn leader(&self, topic: &str, partition: i32) -> io::Result<i32> {
        let consumer: BaseConsumer = self.client().create().map_err(io::Error::other)?;
        let metadata =
            consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).map_err(io::Error::other)?;
        let found = metadata
            .topics()
            .iter()
            .flat_map(rdkafka::metadata::MetadataTopic::partitions)
            .find(|known| known.id() == partition);
        found
            .map(rdkafka::metadata::MetadataPartition::leader)
            .ok_or_else(|| io::Error::other(format!("{topic}/{partition} does not exist")))
    }

    /// Stops the clock of every node: connections stay open, and nothing answers, until [`Self::thaw`].
    ///
    /// # Errors
    /// When the system refuses the signal.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets nodes go on.
    ///
    /// # Errors
    /// When the system refuses the signal.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        for process in self.nodes.iter().filter_map(|node| node.process.as_ref()) {
            let pid = i32::try_from(process.id()).map_err(io::Error::other)?;
            kill(Pid::from_raw(pid), signal)?;
        }
        Ok(())
    }

    /// Where the nodes write what they have to say.
    pub fn logs(&self) -> Vec<PathBuf> {
        self.nodes.iter().map(|node| node.folder.join("broker.log")).collect()
    }

    fn kill_all(&mut self) {
        // All first, then wait: the folder is thrown away, so nothing needs an orderly end.
        for process in self.nodes.iter_mut().filter_map(|node| node.process.as_mut()) {
            let _gone = process.kill();
        }
        for node in &mut self.nodes {
            if let Some(mut process) = node.process.take() {
                let _gone = process.wait();
            }
        }
    }

    fn node(&mut self, id: usize) -> io::Result<&mut Node> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no node {id}"));
        id.checked_sub(1).and_then(|at| self.nodes.get_mut(at)).ok_or_else(missing)
    }

    fn java(&self, heap_mib: u32) -> Command {
        let mut command = Command::new("java");
        let jars = self.jars.display();
        command
            .arg(format!("-Xms{}m", heap_mib / 2))
            .arg(format!("-Xmx{heap_mib}m"))
            .args([
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:ActiveProcessorCount=2",
                "-Xshare:auto",
                "-XX:-UsePerfData",
            ])
            // What it unpacks there goes with the folder.
            .arg(format!("-Djava.io.tmpdir={}", self.folder.path().display()))
            .arg(format!(
                "-Dlog4j2.configurationFile={}",
                self.folder.path().join("log4j2.properties").display()
            ))
            .arg("-cp")
            .arg(format!("{jars}/*"));
        command.stdin(Stdio::null());
        command
    }

    fn format(&self, controllers: &[u16]) -> io::Result<()> {
        let count = self.nodes.len();
        let voters: Vec<String> =
            controllers.iter().enumerate().map(|(at, port)| format!("{}@127.0.0.1:{port}", at + 1)).collect();
        let mut formatting = Vec::new();
        for (node, controller) in self.nodes.iter().zip(controllers) {
            fs::create_dir_all(&node.folder)?;
            let path = node.folder.join("server.properties");
            fs::write(&path, properties(node, *controller, &voters.join(","), count))?;
            let mut command = self.java(128);
            command
                .args(["kafka.tools.StorageTool", "format", "-t", "logbraidAAAAAAAAAAAAAA", "-c"])
                .arg(&path);
            formatting.push(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
        }
        for child in formatting {
            let done = child.wait_with_output()?;
            if !done.status.success() {
                let said = String::from_utf8_lossy(&done.stderr).into_owned();
                return Err(io::Error::other(format!("the storage could not be formatted: {said}")));
            }
        }
        Ok(())
    }

    fn spawn(&mut self, at: usize) -> io::Result<()> {
        let mut command = self.java(384);
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        let log = File::options().create(true).append(true).open(node.folder.join("broker.log"))?;
        command.arg("kafka.Kafka").arg(node.folder.join("server.properties"));
        node.process = Some(command.stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    /// Waits until `count` nodes are known to one another and to clients.
    fn wait_until_ready(&mut self, count: usize) -> io::Result<()> {
        let watch = Stopwatch::start();
        let consumer: BaseConsumer = self.client().create().map_err(io::Error::other)?;
        loop {
            for node in &mut self.nodes {
                if let Some(process) = &mut node.process
                    && let Some(status) = process.try_wait()?
                {
                    node.process = None;
                    return Err(io::Error::other(format!(
                        "node {} ended with {status}: {}",
                        node.id,
                        last_words(&node.folder)
                    )));
                }
            }
            let known = consumer.fetch_metadata(None, Duration::from_millis(500));
            if known.is_ok_and(|metadata| metadata.brokers().len() >= count) {
                return Ok(());
            }
            if watch.elapsed() > PATIENCE {
                let words: Vec<String> = self.nodes.iter().map(|node| last_words(&node.folder)).collect();
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the cluster does not answer: {}", words.join("\n")),
                ));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// The settings of a node; 127.0.0.1 rather than a name, so that no resolver is asked.
fn properties(node: &Node, controller: u16, voters: &str, nodes: usize) -> String {
    let Node { id, port, sasl_port, folder, .. } = node;
    let (copies, in_sync) = (nodes, if nodes > 2 { 2 } else { 1 });
    let data = folder.join("data").display().to_string();
    let login = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _written = write!(
        text,
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={voters}\n\
         listeners=OPEN://127.0.0.1:{port},SASL://127.0.0.1:{sasl_port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=OPEN://127.0.0.1:{port},SASL://127.0.0.1:{sasl_port}\n\
         listener.security.protocol.map=OPEN:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=OPEN\n\
         listener.name.sasl.sasl.enabled.mechanisms=PLAIN\n\
         listener.name.sasl.plain.sasl.jaas.config={login} user_logbraid=\"{PASSWORD}\" user_guest=\"{GUEST_PASSWORD}\";\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS;User:logbraid\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         default.replication.factor={copies}\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.num.partitions=8\n\
         offsets.topic.replication.factor={copies}\n\
         transaction.state.log.num.partitions=8\n\
         transaction.state.log.replication.factor={copies}\n\
         transaction.state.log.min.isr={in_sync}\n\
         share.coordinator.state.topic.num.partitions=1\n\
         share.coordinator.state.topic.replication.factor={copies}\n\
         share.coordinator.state.topic.min.isr={in_sync}\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         group.consumer.min.session.timeout.ms=1000\n\
         group.consumer.session.timeout.ms=6000\n\
         group.consumer.min.heartbeat.interval.ms=500\n\
         group.consumer.heartbeat.interval.ms=1000\n\
         leader.imbalance.check.interval.seconds=5\n\
         controlled.shutdown.enable=true\n\
         log.segment.bytes=134217728\n\
         num.network.threads=2\n\
         num.io.threads=4\n\
         log.cleaner.enable=true\n\
         log.cleaner.dedupe.buffer.size=4194304\n"
    );
    String::from_utf8_lossy(&text).into_owned()
}

/// Ports that nothing listens on at this moment.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    // All are held until all are known: none comes twice.
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// What a node said last.
fn last_words(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("broker.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
