//! `logbraid plugin …`: the part of a child process in a shipper's own protocol.

pub mod annotate;
mod lines;
pub mod rsyslog;

use clap::{Args, Subcommand};

use super::{Fault, Status};

/// Options of `plugin`.
#[derive(Debug, Args)]
pub struct PluginArgs {
    /// Whose part it plays.
    #[command(subcommand)]
    pub part: Part,
}

/// The parts.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// Answers each line with one JSON line at once: template, request, decision so far, what is odd.
    Annotate(annotate::AnnotateArgs),
    /// Confirms each line to rsyslog's omprog once a running logbraid has it on the disk.
    Rsyslog(rsyslog::RsyslogArgs),
}

pub(super) fn plugin(args: PluginArgs) -> Result<Status, Fault> {
    match args.part {
        Part::Annotate(args) => annotate::annotate(&args),
        Part::Rsyslog(args) => rsyslog::rsyslog(&args),
    }
}
