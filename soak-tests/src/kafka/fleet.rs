//! Instances of the real binary that read one topic as one group: started, asked to end, killed, watched.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process;
use crate::stopwatch::Stopwatch;

/// How often a record may arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Delivery {
    /// Repeats are identical.
    AtLeastOnce,
    /// There are none.
    ExactlyOnce,
}

/// How members share partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Protocol {
    /// They decide.
    Classic,
    /// The broker decides.
    Consumer,
}

/// What all instances have in common.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The binary.
    pub binary: PathBuf,
    /// Where configurations and messages go.
    pub folder: PathBuf,
    /// Brokers to read from.
    pub brokers: String,
    /// The topic to read.
    pub topic: String,
    /// Brokers to write to.
    pub out_brokers: String,
    /// The topic to write.
    pub out_topic: String,
    /// The group.
    pub group: String,
    /// How often a record may arrive.
    pub delivery: Delivery,
    /// How partitions are shared.
    pub protocol: Protocol,
}

/// How long an instance may take to end when asked.
const PATIENCE: Duration = Duration::from_secs(45);
/// How soon after its start an instance may not listen to signals yet.
const BEGINNING: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Slot {
    name: String,
    child: Option<Child>,
    /// Since when it runs.
    started: Option<Stopwatch>,
    /// Since when it has been asked to end.
    leaving: Option<Stopwatch>,
    /// True when it was asked so soon that it may not have heard it.
    early: bool,
}

/// Instances, by number. Dropping it kills them.
#[derive(Debug)]
pub struct Fleet {
    setting: Setting,
    slots: Vec<Slot>,
    /// How many were killed.
    pub kills: u64,
    /// How many ended because they could not go on, as exactly once asks of them when somebody else took over.
    pub gave_up: u64,
    /// What no instance should have done.
    pub faults: Vec<String>,
}

impl Fleet {
    /// As many instances as `slots`, none of which runs.
    ///
    /// # Errors
    /// When their configurations cannot be written.
    pub fn new(setting: Setting, slots: usize) -> io::Result<Self> {
        fs::create_dir_all(&setting.folder)?;
        let slots = (0..slots)
            .map(|number| {
                let name = format!("{}-{number}", setting.group);
                fs::write(setting.folder.join(format!("{name}.yaml")), setting.config(&name, number))?;
                Ok(Slot { name, child: None, started: None, leaving: None, early: false })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { setting, slots, kills: 0, gave_up: 0, faults: Vec::new() })
    }

    /// The numbers of instances that run and were not asked to end.
    pub fn running(&self) -> Vec<usize> {
        self.numbers(|slot| slot.child.is_some() && slot.leaving.is_none())
    }

    /// The numbers of instances that do not run.
    pub fn idle(&self) -> Vec<usize> {
        self.numbers(|slot| slot.child.is_none())
    }

    fn numbers(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<usize> {
        self.slots.iter().enumerate().filter(|(_, slot)| wanted(slot)).map(|(number, _)| number).collect()
    }

    /// Process ids of instances that run.
    pub fn pids(&self) -> Vec<u32> {
        self.slots.iter().filter_map(|slot| slot.child.as_ref().map(Child::id)).collect()
    }

    /// Starts instance `number`, unless it runs.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn start(&mut self, number: usize) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(number).filter(|slot| slot.child.is_none()) else {
            return Ok(());
        };
        let folder = &self.setting.folder;
        let errors =
            File::options().create(true).append(true).open(folder.join(format!("{}.err", slot.name)))?;
        let mut command = Command::new(&self.setting.binary);
        command.arg("run").arg("-c").arg(folder.join(format!("{}.yaml", slot.name)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        slot.child = Some(command.spawn()?);
        (slot.started, slot.leaving, slot.early) = (Some(Stopwatch::start()), None, false);
        Ok(())
    }

    /// Kills instance `number`, as a crash of its machine would.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self, number: usize) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(number) else { return Ok(()) };
        if let Some(mut child) = slot.child.take() {
            // One that has ended by itself must not pass for killed.
            if let Some(status) = child.try_wait()? {
                self.ended(number, status);
                return Ok(());
            }
            child.kill()?;
            child.wait()?;
            self.kills += 1;
        }
        Ok(())
    }

    /// Asks instance `number` to end; [`Self::tend`] sees to it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stop(&mut self, number: usize) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(number) else { return Ok(()) };
        if let (Some(child), None) = (&slot.child, &slot.leaving) {
            let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
            kill(Pid::from_raw(pid), Signal::SIGTERM)?;
            slot.leaving = Some(Stopwatch::start());
            slot.early = slot.started.is_some_and(|since| since.elapsed() < BEGINNING);
        }
        Ok(())
    }

    /// Takes note of instances that have ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn tend(&mut self) -> io::Result<()> {
        for number in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(number) else { continue };
            let Some(child) = &mut slot.child else { continue };
            if let Some(status) = child.try_wait()? {
                slot.child = None;
                self.ended(number, status);
            } else if slot.leaving.is_some_and(|since| since.elapsed() > PATIENCE) {
                child.kill()?;
                child.wait()?;
                slot.child = None;
                slot.leaving = None;
                let words = self.last_words(number);
                self.faults.push(format!("instance {number} was asked to end and did not: {words}"));
            }
        }
        Ok(())
    }

    fn ended(&mut self, number: usize, status: ExitStatus) {
        let Some(slot) = self.slots.get_mut(number) else { return };
        let asked = slot.leaving.take().is_some();
        // A process that has just begun listens to no signal yet, and ends of it as any other would.
        let unheard = slot.early && status.signal() == Some(Signal::SIGTERM as i32);
        if asked && (status.success() || unheard) {
            return;
        }
        // 3: it could not go on, and says so; whoever watches it starts it again.
        self.gave_up += 1;
        if status.code() != Some(3) {
            let words = self.last_words(number);
            self.faults.push(format!("instance {number} ended with {status}: {words}"));
        }
    }

    /// Asks all to end, and waits until they have.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stop_all(&mut self) -> io::Result<()> {
        for number in 0..self.slots.len() {
            self.stop(number)?;
        }
        while self.slots.iter().any(|slot| slot.child.is_some()) {
            self.tend()?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What instance `number` said last.
    pub fn last_words(&self, number: usize) -> String {
        let Some(slot) = self.slots.get(number) else { return String::new() };
        last_lines(&self.setting.folder.join(format!("{}.err", slot.name)), 6)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for mut child in self.slots.iter_mut().filter_map(|slot| slot.child.take()) {
            // It may have ended already.
            let _gone = child.kill();
            let _status = child.wait();
        }
    }
}

/// The last `count` lines of a file.
pub fn last_lines(path: &Path, count: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n  ")
}

/// What is resident of each process, in bytes.
pub fn resident(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| process::rss(*pid)).sum()
}

impl Setting {
    /// The configuration of instance `number`. Half of the instances keep their names through a restart.
    fn config(&self, name: &str, number: usize) -> String {
        let Self { brokers, topic, out_brokers, out_topic, group, .. } = self;
        let membership = if number.is_multiple_of(2) {
            format!("membership: static\n      instance_id: {name}")
        } else {
            "membership: dynamic".to_owned()
        };
        let protocol = match self.protocol {
            Protocol::Classic => "classic",
            Protocol::Consumer => "consumer",
        };
        let delivery = match self.delivery {
            Delivery::AtLeastOnce => "delivery: at_least_once".to_owned(),
            Delivery::ExactlyOnce => format!("delivery: exactly_once\n      transactional_id: {name}"),
        };
        // Time stands still while nobody writes: the calm run is faster than the stormy one, and must see the same.
        format!(
            "sources:\n  - kafka:\n      brokers: '{brokers}'\n      topics: [{topic}]\n      group: {group}\n      \
             start: earliest\n      {membership}\n      group_protocol: {protocol}\n      session_timeout: 6s\n      \
             drain_timeout: 4s\n\
             time: {{ max_delay: 2s, idle_after: 1h, allowed_lateness: 10s }}\n\
             operators:\n  - thread: {{}}\n  - correlate: {{ gap: 5s, max_span: 60s }}\n  - hierarchy: {{}}\n  \
             - error_flow: {{}}\n  - error_burst: {{}}\n  - retry_storm: {{}}\n\
             sinks:\n  - kafka:\n      brokers: '{out_brokers}'\n      topic: {out_topic}\n      \
             take: [timelines, findings, rejects, late]\n      {delivery}\n"
        )
    }
}
