//! `logbraid top`: what a stream does right now, on a terminal.
//!
//! ```text
//!  inputs ─► a run of its own, with a window ─┐
//!  http://… ─► a running logbraid ────────────┴─► Feed ─ once a second ─► Screen ─► draw
//!                                                  ▲                        │ keys
//!                                                  └── one request ◄────────┘
//! ```

mod draw;
mod feed;
mod local;
mod screen;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use logbraid_core::ByteSize;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::feed::{Asked, Feed, Told};
use self::screen::{Outcome, Screen};
use crate::ask::address;
use crate::cli::{Fault, Status, Terminal, run};
use crate::problem::Problem;

/// Options of `top`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TopArgs {
    /// What to look at: paths, globs, folders, `-` for stdin, or `http://HOST:PORT` for a running logbraid. Files are
    /// followed.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    /// Reads lines and finds what is worth a look as the configuration FILE says; without it, a built-in one counts.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The format of all inputs: auto, json, logfmt, syslog, clf, klog, text, or one of the configuration's own.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Most memory for the window; beyond it the oldest entries leave.
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub(crate) memory: ByteSize,
}

const EXAMPLES: &str = "\
Examples:
  logbraid top http://127.0.0.1:9600            a running logbraid
  logbraid top /var/log/shop                    the logs of a folder, as they grow
  kubectl logs -f deploy/shop | logbraid top    a stream

Keys: Tab between lists, ↑ ↓ in them, Enter for the timeline of a request, s for another order, Esc back, q quit.";

/// How long a key is waited for before the screen is drawn again.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Messages on their way to the screen, and questions on their way from it.
const WAITING_MAX: usize = 4;

/// Shows until somebody quits.
pub(crate) fn top(args: TopArgs, terminal: &Terminal) -> Result<Status, Fault> {
    if !terminal.stdout {
        return Err(Problem::new("usage", "'top' draws on a terminal, and stdout is none")
            .help("`logbraid investigate` tells the same to programs")
            .into());
    }
    let runtime = run::runtime(2)?;
    let stop = CancellationToken::new();
    let (told, news) = mpsc::channel::<Told>(WAITING_MAX);
    let (ask, asked) = mpsc::channel::<Asked>(WAITING_MAX);
    let remote = address(&args.inputs)?;
    let place = remote.as_ref().map_or_else(|| args.inputs.join(" "), |_| args.inputs.join(""));
    let ended = match remote {
        Some(address) => {
            let feed = Feed::Remote(address);
            let stopped = stop.clone();
            runtime.spawn(async move { feed.serve(told, asked, stopped).await });
            None
        }
        None => Some(local::start(&args, terminal, &runtime, told, asked, &stop)?),
    };
    let signals = {
        // Signals are listened to within the runtime.
        let _inside = runtime.enter();
        run::signals(stop.clone()).map_err(run::refused)?
    };
    runtime.spawn(signals);
    let shown = show(Screen::new(place), news, &ask, &stop);
    stop.cancel();
    let ended = ended.map(|ended| runtime.block_on(ended));
    runtime.shutdown_background();
    shown.map_err(|error| Fault::Failure(format!("the terminal cannot be drawn on: {error}")))?;
    match ended {
        Some(Ok(Err(fault))) => Err(fault),
        _ => Ok(Status::Done),
    }
}

/// Draws, and does what keys ask for, until somebody quits.
fn show(
    mut screen: Screen,
    mut news: mpsc::Receiver<Told>,
    ask: &mpsc::Sender<Asked>,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let mut draw = || {
        while !stop.is_cancelled() {
            while let Ok(told) = news.try_recv() {
                screen.take(told);
            }
            terminal.draw(|frame| draw::draw(frame, &mut screen))?;
            if !event::poll(DRAW_EVERY)? {
                continue;
            }
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
            {
                match screen.key(key) {
                    Outcome::Nothing => {}
                    Outcome::Quit => return Ok(()),
                    // While a question waits, the same one need not be asked again.
                    Outcome::Ask(asked) => drop(ask.try_send(asked)),
                }
            }
        }
        Ok(())
    };
    let drawn = draw();
    ratatui::try_restore()?;
    drawn
}
