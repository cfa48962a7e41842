//! A folder with a configuration, and the program that runs it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct World {
    pub(crate) folder: TempDir,
    /// What the program says that it is ready on.
    addresses: String,
    admin: SocketAddr,
    child: Option<Child>,
}

impl World {
    /// Starts with `source`, in which `{path}` is the folder.
    pub(crate) fn start(source: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let source = source.replace("{path}", &path);
        let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "checkpoint: '{path}/state'\nwal: {{ disk: 64MiB }}\ntime: {{ idle_after: 300ms }}\n\
             sources:\n  - {source}\nadmin: {{ listen: '{admin}' }}\n\
             sinks:\n  - file: {{ path: '{path}/out.ndjson', take: [entries, late, rejects] }}\n"
        );
        std::fs::write(folder.path().join("run.yaml"), config).unwrap();
        let mut world = Self { folder, addresses: String::new(), admin, child: None };
        world.run();
        world
    }

    pub(crate) fn run(&mut self) {
        let stderr = File::create(self.folder.path().join("stderr")).unwrap();
        let config = self.folder.path().join("run.yaml");
        self.child = Some(command(&config).stdout(Stdio::null()).stderr(stderr).spawn().unwrap());
        for _ in 0..1000 {
            if let Some((addresses, _)) =
                self.said().split("ready on ").nth(1).and_then(|rest| rest.split_once('\n'))
            {
                addresses.clone_into(&mut self.addresses);
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nobody listens: {}", self.said());
    }

    /// What the program has written on its standard error.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// The address that is told after `kind`, such as `tcp`; alone when `kind` is empty.
    pub(crate) fn address(&self, kind: &str) -> SocketAddr {
        let words: Vec<&str> = self.addresses.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let at = if kind.is_empty() { 0 } else { words.iter().position(|word| *word == kind).unwrap() + 1 };
        words[at].parse().unwrap_or_else(|error| panic!("{error}: {}", self.addresses))
    }

    pub(crate) fn connect(&self, kind: &str) -> TcpStream {
        let stream = TcpStream::connect(self.address(kind)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.child.as_ref().unwrap())
    }

    /// Ends the program as a service manager does.
    pub(crate) fn stop(&mut self) {
        let pid = self.pid();
        let mut child = self.child.take().unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.said());
    }

    /// Resident bytes.
    pub(crate) fn resident(&self) -> u64 {
        let pid = self.child.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// What is written, once there are `count` records, by message.
    pub(crate) fn records(&self, count: usize) -> BTreeMap<String, Value> {
        let mut records = BTreeMap::new();
        for _ in 0..1500 {
            let text = std::fs::read_to_string(self.folder.path().join("out.ndjson")).unwrap_or_default();
            let read = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            records =
                read.filter_map(|record| Some((record["message"].as_str()?.to_owned(), record))).collect();
            if records.len() >= count {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        records
    }

    /// The messages that are written, in order, once there are `count`.
    pub(crate) fn messages(&self, count: usize) -> Vec<String> {
        self.records(count).into_keys().collect()
    }

    /// Waits until `/metrics` shows `name` with at least `value`; what it shows.
    pub(crate) fn metric(&self, name: &str, value: f64) -> f64 {
        let mut shown = 0.0;
        for _ in 0..500 {
            shown = self.metrics().get(name).copied().unwrap_or(0.0);
            if shown >= value {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        shown
    }

    fn metrics(&self) -> BTreeMap<String, f64> {
        let mut answer = String::new();
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        stream.read_to_string(&mut answer).unwrap();
        let lines = answer.lines().filter(|line| line.starts_with("logbraid_received_"));
        let figure = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            let name = name.split('{').next()?.strip_prefix("logbraid_")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        lines.filter_map(figure).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logbraid"));
    command.arg("run").arg("-c").arg(config).stdin(Stdio::null());
    command
}

/// What the program says of a configuration that it refuses.
pub(crate) fn refused(config: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    std::fs::write(&path, config.replace("{path}", &folder.path().display().to_string())).unwrap();
    let Output { status, stderr, .. } = command(&path).output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{config}{text}");
    text
}

/// Numbers that look random and are the same in every run.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(step).collect()
}
