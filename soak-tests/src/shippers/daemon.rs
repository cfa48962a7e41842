//! rsyslogd (over TCP, or through omprog) and syslog-ng, each with a queue on disk, fed by `logger` over a Unix socket.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::Sending;
use crate::process;

/// Lines that one `logger` sends.
const TOGETHER: u64 = 500;

/// A daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Daemon {
    Rsyslog,
    RsyslogOmprog,
    SyslogNg,
}

impl Daemon {
    fn config(self, folder: &Path, sending: &Sending) -> String {
        let folder = folder.display();
        let (ip, port) = (sending.address.ip(), sending.address.port());
        match self {
            Self::Rsyslog => format!(
                "global(workDirectory=\"{folder}\")\n\
                 module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
                 input(type=\"imuxsock\" Socket=\"{folder}/in\" RateLimit.Interval=\"0\")\n\
                 action(type=\"omfwd\" target=\"{ip}\" port=\"{port}\" protocol=\"tcp\" TCP_Framing=\"octet-counted\"\n\
                 \x20 template=\"RSYSLOG_SyslogProtocol23Format\" queue.type=\"LinkedList\" queue.filename=\"lb\"\n\
                 \x20 queue.maxDiskSpace=\"1g\" queue.saveOnShutdown=\"on\"\n\
                 \x20 action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\")\n"
            ),
            // The settings of configs/shippers/rsyslog-omprog.conf.
            Self::RsyslogOmprog => format!(
                "global(workDirectory=\"{folder}\")\n\
                 module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
                 module(load=\"omprog\")\n\
                 input(type=\"imuxsock\" Socket=\"{folder}/in\" RateLimit.Interval=\"0\")\n\
                 template(name=\"lb\" type=\"list\" option.jsonf=\"on\") {{\n\
                 \x20 property(outname=\"time\" name=\"timereported\" dateFormat=\"rfc3339\" format=\"jsonf\")\n\
                 \x20 property(outname=\"service\" name=\"app-name\" format=\"jsonf\")\n\
                 \x20 property(outname=\"msg\" name=\"msg\" format=\"jsonf\")\n\
                 }}\n\
                 module(load=\"mmrm1stspace\")\n\
                 action(type=\"mmrm1stspace\")\n\
                 action(type=\"omprog\" template=\"lb\"\n\
                 \x20 binary=\"{} plugin rsyslog --transactions --to http://{ip}:{port}\"\n\
                 \x20 confirmMessages=\"on\" confirmTimeout=\"10000\" useTransactions=\"on\" forceSingleInstance=\"on\"\n\
                 \x20 output=\"{folder}/omprog.out\"\n\
                 \x20 queue.type=\"LinkedList\" queue.filename=\"lb\" queue.maxDiskSpace=\"1g\" queue.saveOnShutdown=\"on\"\n\
                 \x20 action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\")\n",
                sending.binary.display()
            ),
            Self::SyslogNg => format!(
                "@version: 3.35\n\
                 options {{ keep-timestamp(yes); time-reopen(1); stats-freq(0); }};\n\
                 source s {{ unix-dgram(\"{folder}/in\"); }};\n\
                 destination d {{ syslog(\"{ip}\" port({port}) transport(\"tcp\")\n\
                 \x20 disk-buffer(reliable(yes) disk-buf-size(1073741824) mem-buf-size(16777216) dir(\"{folder}\"))); }};\n\
                 log {{ source(s); destination(d); flags(flow-control); }};\n"
            ),
        }
    }

    fn command(self, config: &Path, folder: &Path) -> Command {
        let mut command;
        match self {
            Self::Rsyslog | Self::RsyslogOmprog => {
                command = Command::new("rsyslogd");
                command.arg("-n").arg("-f").arg(config).arg("-i").arg(folder.join("pid"));
            }
            Self::SyslogNg => {
                command = Command::new("syslog-ng");
                command.args(["-F", "--no-caps", "-f"]).arg(config).arg("-R").arg(folder.join("persist"));
                command.arg("-c").arg(folder.join("control")).arg("-p").arg(folder.join("pid"));
            }
        }
        command
    }

    /// Starts it, hands it all lines, and ends it when it is told to.
    pub(super) fn send(self, sending: &Sending, folder: &Path) -> io::Result<()> {
        let config = folder.join("daemon.conf");
        fs::write(&config, self.config(folder, sending))?;
        let log = fs::File::create(folder.join("daemon.out"))?;
        let mut command = self.command(&config, folder);
        let mut child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let fed = feed(sending, folder);
        while fed.is_ok() && sending.goes_on() {
            thread::sleep(Duration::from_millis(50));
        }
        let said = || fs::read_to_string(folder.join("daemon.out")).unwrap_or_default();
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("{self:?} ended with {status}: {}", said())));
        }
        process::terminate(child, Duration::from_secs(10))?;
        fed.map_err(|error| io::Error::other(format!("{error}; {self:?} says: {}", said())))
    }
}

fn feed(sending: &Sending, folder: &Path) -> io::Result<()> {
    let socket = folder.join("in");
    for _ in 0..200 {
        if socket.exists() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let parts = u32::try_from(sending.lines.div_ceil(TOGETHER)).unwrap_or(u32::MAX).max(1);
    let pause = sending.spread / parts;
    let mut first = 0;
    while first < sending.lines && sending.goes_on() {
        let end = sending.lines.min(first + TOGETHER);
        let mut text = String::new();
        for number in first..end {
            let _infallible = writeln!(text, "line {number}");
        }
        let file = folder.join("lines");
        fs::write(&file, text)?;
        let mut logger = Command::new("logger");
        logger
            .args(["--tag", "soak", "--socket-errors=on", "--socket"])
            .arg(&socket)
            .arg("--file")
            .arg(&file);
        let output = logger.output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("logger: {}", String::from_utf8_lossy(&output.stderr))));
        }
        sending.sent.store(end, Ordering::Release);
        first = end;
        thread::sleep(pause);
    }
    Ok(())
}
