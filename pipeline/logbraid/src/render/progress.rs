//! The progress bar of long runs, on stderr.

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where a run stands. Cheap to ask: counters, no locks.
pub trait Standing: Send + Sync {
    /// Bytes that were read, as they lie in the input.
    fn bytes_read(&self) -> u64;
    /// Bytes that there are to read; `None` for inputs without an end.
    fn bytes_total(&self) -> Option<u64>;
    /// Lines that were read.
    fn lines(&self) -> u64;
    /// Findings so far.
    fn findings(&self) -> u64;
}

/// A bar that shows where a run stands. Nothing is drawn until [`Bar::show`] was called twice, so that short runs show
/// none; dropping it removes it.
#[derive(Debug)]
pub struct Bar {
    drawn: ProgressBar,
    shown: u32,
    lines: u64,
}

impl Default for Bar {
    fn default() -> Self {
        Self { drawn: ProgressBar::hidden(), shown: 0, lines: 0 }
    }
}

/// How often [`Bar::show`] wants to be called.
pub const INTERVAL: logbraid_core::Span = logbraid_core::Span::from_millis(200);

impl Bar {
    /// Draws anew. Call it every [`INTERVAL`].
    pub fn show(&mut self, standing: &dyn Standing) {
        self.shown += 1;
        if self.shown == 2 {
            self.drawn.set_draw_target(ProgressDrawTarget::stderr());
        }
        let lines = standing.lines();
        let a_second = 1000 / u64::try_from(INTERVAL.nanos() / 1_000_000).unwrap_or(200).max(1);
        let rate = lines.saturating_sub(self.lines).saturating_mul(a_second);
        self.lines = lines;
        let template = match standing.bytes_total() {
            Some(total) if total > 0 => {
                self.drawn.set_length(total);
                self.drawn.set_position(standing.bytes_read().min(total));
                "{bar:30} {percent:>3}% {msg}"
            }
            _ => "{spinner} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.drawn.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        let read = HumanBytes(standing.bytes_read());
        let findings = super::text::counted(standing.findings(), "finding", "findings");
        self.drawn.set_message(format!(
            "{read}, {} lines, {}/s, {findings}",
            HumanCount(lines),
            HumanCount(rate)
        ));
        self.drawn.tick();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
    }
}
