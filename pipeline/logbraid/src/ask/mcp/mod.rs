//! `logbraid mcp`: the questions as tools of the Model Context Protocol, findings and timelines as resources.
//!
//! ```text
//!  client ─ stdio, http ─► rpc ─► Server ─┬─ tools ──────► the question ─┬─► Inputs: files, read once, again when they change
//!                                     └─ resources ─► findings, … ──┴─► a running logbraid: this process, or over HTTP
//! ```
//!
//! Everything is read-only, and no answer is longer than `--max-bytes`.

mod http;
mod resources;
mod rpc;
mod server;
mod source;
mod stdio;
#[cfg(test)]
mod tests;
mod tools;

use std::path::PathBuf;

use clap::Args;
use logbraid_core::ByteSize;
use tokio_util::sync::CancellationToken;

pub(crate) use self::http::door;
use self::server::Server;
use self::source::Source;
use crate::cli::{Fault, Status, Terminal, run};
use crate::problem::{Problem, choices};

/// Options of `mcp`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct McpArgs {
    /// What is asked about: paths, globs, folders, or `http://HOST:PORT` for the window of a running logbraid.
    ///
    /// Without any, each call names its own `inputs`, and can read every log that this process may read.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    /// Reads lines as the configuration FILE says; findings are made by its operators.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The format of all inputs: auto, json, logfmt, syslog, clf, klog, text, or one of the configuration's own.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Most memory for the entries that are read; beyond it the oldest leave, and answers say so.
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    pub(crate) memory: ByteSize,
    /// No answer is longer; a call may ask for less. What was left out is named in the answer.
    #[arg(long, value_name = "N", default_value = "8KiB")]
    pub(crate) max_bytes: ByteSize,
    /// Offers only these tools, separated by commas: fewer of them leave a client more room.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) tools: Option<Vec<String>>,
}

const EXAMPLES: &str = "\
Examples:
  logbraid mcp '/var/log/shop/*.log'            questions about these files
  logbraid mcp http://127.0.0.1:9600            questions about the window of a running logbraid
  logbraid mcp --tools investigate,search,error_flow,timeline app.log

A client starts it and speaks to it over stdin and stdout; its configuration is mostly this:
  {\"mcpServers\": {\"logbraid\": {\"command\": \"logbraid\", \"args\": [\"mcp\", \"/var/log/shop/*.log\"]}}}";

/// No answer over HTTP is longer; on stdio, unless `--max-bytes` says so.
const ANSWER_BYTES: usize = 8 << 10;
/// The shortest budget that leaves room for an answer.
const MAX_BYTES_MIN: usize = 256;

/// Serves until the client goes away, or somebody asks it to stop.
pub(crate) fn mcp(args: McpArgs, terminal: &Terminal) -> Result<Status, Fault> {
    if terminal.stdin {
        return Err(Problem::new("usage", "an agent speaks to 'mcp' over stdin, and stdin is a terminal")
            .help("let an MCP client start it; `logbraid mcp --help` shows how")
            .into());
    }
    let most = args.max_bytes.as_usize();
    if most < MAX_BYTES_MIN {
        let message = format!("'--max-bytes' must be at least {MAX_BYTES_MIN}, found {most}");
        return Err(Problem::new("usage", message).help("try `8KiB`").into());
    }
    let tools = match &args.tools {
        None => tools::all(),
        Some(names) => names.iter().map(|name| tool(name)).collect::<Result<_, _>>()?,
    };
    let source = Source::new(&args, *terminal)?;
    let server = Server::new(source, tools, most);
    let runtime = run::runtime(1)?;
    let served = runtime.block_on(async {
        let stop = CancellationToken::new();
        let signals = run::signals(stop.clone()).map_err(run::refused)?;
        tokio::select! { () = stdio::serve(&server) => {}, () = stop.cancelled() => {}, () = signals => {} }
        Ok(Status::Done)
    });
    // A read of stdin that goes on is left to the process's end.
    runtime.shutdown_background();
    served
}

fn tool(name: &str) -> Result<tools::Spec, Problem> {
    tools::find(name).ok_or_else(|| {
        let all: Vec<String> = tools::all().into_iter().map(|tool| tool.name).collect();
        Problem::new("usage", format!("'--tools': there is no tool '{name}'")).help(choices(
            name,
            "there are",
            all.iter().map(String::as_str),
        ))
    })
}
