//! The batch tool, release 1.3.2, in a virtual environment of its own: installed when it is first asked for, and left
//! out by name when Python or the registry is missing.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::process;

/// The release that is measured.
pub const RELEASE: &str = "logler==1.3.2";
const WORKER: &str = include_str!("worker.py");

/// An installed batch tool.
#[derive(Debug, Clone)]
pub struct Tool {
    folder: PathBuf,
}

impl Tool {
    /// Finds it below `folder`, or installs it there. The reason when that cannot be done.
    ///
    /// # Errors
    /// What is missing, in words for the report.
    pub fn ready(folder: &Path) -> Result<Self, String> {
        let tool = Self { folder: folder.to_owned() };
        if !tool.python().is_file() {
            if !process::installed("python3") {
                return Err("`python3` is not installed".to_owned());
            }
            std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            run(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")))?;
        }
        let check = ["-c", "import importlib.metadata as m; print(m.version('logler'))"];
        let installed = Command::new(tool.python()).args(check).stderr(Stdio::null()).output();
        let version = installed.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
        if version.is_ok_and(|version| RELEASE.ends_with(&format!("=={version}"))) {
            return tool.with_worker();
        }
        run(Command::new(tool.python()).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            RELEASE,
        ]))?;
        tool.with_worker()
    }

    fn with_worker(self) -> Result<Self, String> {
        std::fs::write(self.worker(), WORKER).map_err(|error| format!("worker.py: {error}"))?;
        Ok(self)
    }
    fn python(&self) -> PathBuf {
        self.folder.join("venv/bin/python")
    }
    fn worker(&self) -> PathBuf {
        self.folder.join("worker.py")
    }

    /// A process that imports it, makes one call and prints the answer; or with `memory`, what the call grew by.
    pub fn once(&self, request: &Value, memory: bool) -> Command {
        let mut command = Command::new(self.python());
        command.arg(self.worker()).arg("--once").arg(request.to_string());
        if memory {
            command.arg("--memory");
        }
        command
    }

    /// Its command line.
    pub fn command_line(&self) -> Command {
        let mut command = Command::new(self.python());
        command.args(["-m", "logler.cli"]);
        command
    }

    /// A process that answers one call after another, with what it has read kept.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> io::Result<Worker> {
        let mut child = Command::new(self.python())
            .arg(self.worker())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(io::Error::other("a worker without pipes"));
        };
        let (send, replies) = sync_channel(1);
        // Ends with the worker's output.
        thread::Builder::new().name("replies".to_owned()).spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        })?;
        Ok(Worker { child, stdin, replies })
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&done.stderr);
    Err(format!("{name}: {}", errors.lines().last().unwrap_or("failed without a word")))
}

/// What a call brought.
#[derive(Debug)]
pub enum Reply {
    /// Its time in milliseconds, and what the answer says.
    Done(f64, Value),
    /// It failed, in its own words, or took too long.
    Failed(String),
}

/// A process with the batch tool in it.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    stdin: ChildStdin,
    replies: Receiver<String>,
}

impl Worker {
    /// Makes a call. One that takes longer than `patience` ends the worker.
    ///
    /// # Errors
    /// When the worker has gone.
    pub fn call(&mut self, request: &Value, patience: Duration) -> io::Result<Reply> {
        writeln!(self.stdin, "{request}")?;
        self.stdin.flush()?;
        match self.replies.recv_timeout(patience) {
            Ok(line) => {
                let reply: Value = serde_json::from_str(&line)?;
                Ok(match (reply["ms"].as_f64(), reply["error"].as_str()) {
                    (Some(ms), _) => Reply::Done(ms, reply["answer"].clone()),
                    (None, error) => Reply::Failed(error.unwrap_or("no answer").to_owned()),
                })
            }
            Err(RecvTimeoutError::Timeout) => {
                self.child.kill()?;
                Ok(Reply::Failed(format!("killed after {} s", patience.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(Reply::Failed("the process ended".to_owned())),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself; either way nobody waits for its answers.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
