//! `logbraid plugin rsyslog`: the child of rsyslog's omprog with `confirmMessages="on"`.
//!
//! ```text
//!  rsyslog ─ line ─► plugin ─ POST ─► `http` source of a running logbraid ─► write-ahead log, synced
//!          ◄─ OK ──         ◄─ 200 ──
//!          ◄─ … ───  while it takes long
//!          ◄─ why ─  when it was not taken: rsyslog keeps the line and sends it again
//! ```
//!
//! The engine is a process of its own: rsyslog may start its children anew as it likes, and no request is torn.

use std::io::Write as _;

use clap::Args;
use logbraid_core::Span;
use logbraid_sinks::http::Poster;

use super::super::{Fault, Status, tell};
use super::lines::read_line;
use crate::problem::Problem;

/// Options of `plugin rsyslog`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RsyslogArgs {
    /// The `http` source of a running logbraid, such as `http://127.0.0.1:8080`.
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// That source's token, where it has one.
    #[arg(long, value_name = "TOKEN", env = "LOGBRAID_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The action has `useTransactions="on"`: its marks are not messages.
    #[arg(long)]
    pub transactions: bool,
    /// A dot tells rsyslog every SPAN that the answer will come; shorter than its `confirmTimeout`.
    #[arg(long, value_name = "SPAN", default_value = "2s")]
    pub keep_alive: Span,
    /// How long logbraid may take to answer; then rsyslog is told to send the line again.
    #[arg(long, value_name = "SPAN", default_value = "30s")]
    pub timeout: Span,
}

const EXAMPLES: &str = "\
A line is confirmed once logbraid has it in its write-ahead log, on the disk. Otherwise rsyslog is told why, keeps the line
and sends it again: after a crash of any of the three programs nothing that was confirmed is missing. With
useTransactions=\"on\" and --transactions all lines of a transaction are confirmed together, by one sync.

rsyslog:
  module(load=\"omprog\")
  action(type=\"omprog\" binary=\"/usr/bin/logbraid plugin rsyslog --transactions --to http://127.0.0.1:8080\" template=\"lb\"
         confirmMessages=\"on\" useTransactions=\"on\" forceSingleInstance=\"on\"
         queue.type=\"LinkedList\" queue.filename=\"lb\" action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\")

logbraid beside it:
  logbraid run -c configs/http.yaml";

/// Lines of one transaction that are held before they are sent.
const HELD_BYTES_MAX: usize = 1 << 20;
/// Longest line: what a run reads of one by default. A longer one could be refused for ever, and rsyslog's queue would
/// stand behind it.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Characters of a reason that rsyslog is told.
const WHY_MAX: usize = 500;

/// Runs until rsyslog closes the input.
pub(super) fn rsyslog(args: &RsyslogArgs) -> Result<Status, Fault> {
    let poster = Poster::new(&args.to, args.token.as_deref(), args.timeout);
    let poster = poster.map_err(|error| {
        let problem = Problem::new("usage", format!("'--to': {error}"));
        Fault::Mistake(match error.help {
            Some(help) => problem.help(help).into(),
            None => problem.into(),
        })
    })?;
    if args.keep_alive < Span::from_millis(10) {
        let problem =
            Problem::new("usage", "'--keep-alive' must be at least 10ms").help("try `--keep-alive 2s`");
        return Err(problem.into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::Failure(format!("no runtime: {error}")))?;
    let mut part = Part {
        poster,
        runtime,
        keep_alive: args.keep_alive,
        held: Vec::new(),
        transactions: args.transactions,
        open: false,
    };
    match part.play() {
        // rsyslog is gone: it has what was confirmed.
        Ok(()) => Ok(Status::Done),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Status::Done),
        Err(error) => Err(Fault::Failure(format!("the pipe to rsyslog broke: {error}"))),
    }
}

struct Part {
    poster: Poster,
    runtime: tokio::runtime::Runtime,
    keep_alive: Span,
    /// Lines that are not confirmed yet.
    held: Vec<u8>,
    transactions: bool,
    /// True within a transaction.
    open: bool,
}

impl Part {
    fn play(&mut self) -> std::io::Result<()> {
        let mut input = std::io::stdin().lock();
        say("OK")?;
        let mut line = Vec::new();
        loop {
            if !read_line(&mut input, &mut line, LINE_BYTES_MAX + 1)? {
                return Ok(());
            }
            if line.len() > LINE_BYTES_MAX {
                line.truncate(LINE_BYTES_MAX);
                // Where rsyslog's `output` names a file, it is found there.
                tell(&format!("warning: a line was cut after {LINE_BYTES_MAX} bytes\n"));
            }
            match line.trim_ascii() {
                b"BEGIN TRANSACTION" if self.transactions => {
                    self.open = true;
                    self.held.clear();
                    say("OK")?;
                }
                b"COMMIT TRANSACTION" if self.transactions => {
                    self.open = false;
                    self.send()?;
                }
                _ => {
                    self.held.extend_from_slice(&line);
                    self.held.push(b'\n');
                    if self.open && self.held.len() < HELD_BYTES_MAX {
                        say("DEFER_COMMIT")?;
                    } else {
                        // Much of a transaction is confirmed early: more would only wait here.
                        self.send()?;
                    }
                }
            }
        }
    }

    /// Sends what is held and tells rsyslog what became of it. What was not taken is forgotten here: it comes again.
    fn send(&mut self) -> std::io::Result<()> {
        let body = std::mem::take(&mut self.held);
        if body.trim_ascii().is_empty() {
            return say("OK");
        }
        let keep_alive = self.keep_alive.to_std();
        let poster = &mut self.poster;
        let answer = self.runtime.block_on(async {
            let mut work = std::pin::pin!(poster.post(body));
            loop {
                tokio::select! {
                    biased;
                    answer = &mut work => return Ok(answer),
                    () = tokio::time::sleep(keep_alive) => {
                        let mut out = std::io::stdout().lock();
                        out.write_all(b".").and_then(|()| out.flush())?;
                    }
                }
            }
        });
        let answer: std::io::Result<Result<(), String>> = answer;
        match answer? {
            Ok(()) => say("OK"),
            Err(why) => {
                let why: String =
                    why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WHY_MAX).collect();
                say(&format!("not taken: {why}"))
            }
        }
    }
}

/// One line to rsyslog, at once.
fn say(word: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(word.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}
