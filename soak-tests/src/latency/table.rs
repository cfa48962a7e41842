//! Latencies as people read them.

use super::{Latency, Rate};
use crate::bench::table::Table;
use crate::report::stats::ms;

impl Rate {
    /// The rate in a line, as it is measured.
    pub fn line(&self) -> String {
        format!(
            "{}: {:.0} lines/s offered, {:.0} reached, {} of {} came back; from the line p50 {} p99 {} ms, from the watermark \
             p50 {} p99 {} ms",
            self.name,
            self.offered,
            self.reached,
            self.records,
            self.lines,
            ms(self.from_line.ms(50.0)),
            ms(self.from_line.ms(99.0)),
            ms(self.from_watermark.ms(50.0)),
            ms(self.from_watermark.ms(99.0)),
        )
    }
}

impl Latency {
    /// The part of the page.
    pub fn markdown(&self) -> String {
        let mut out = String::from("## Latency\n\n");
        out.push_str(&self.machine.markdown());
        out.push_str(&format!(
            "\nLines of 230 bytes into stdin at a fixed rate, open loop: each has a moment at which it is due, and its latency \
             runs from there to its `entry` record being read from stdout, so that waiting for a full pipe counts (no \
             coordinated omission). `thread`, `correlate`, `hierarchy` and `error_flow` run too; `max_delay: 0s`, `tick: \
             10ms`. *From the line* holds the wait for the next tick, 5 ms on average; *from the watermark* begins when \
             the line was due that let the watermark pass. Highest sustainable rate here: {:.0} lines/s, the sender and \
             the reader on the same cores. Milliseconds.\n\n",
            self.highest
        ));
        let shares = [50.0, 90.0, 95.0, 99.0, 99.9, 100.0];
        let mut table =
            Table::new(&["rate", "lines/s", "reached", "from", "p50", "p90", "p95", "p99", "p99.9", "max"]);
        for rate in &self.rates {
            for (from, points) in [("line", &rate.from_line), ("watermark", &rate.from_watermark)] {
                let cells = shares.map(|share| ms(points.ms(share)));
                table.row(
                    [
                        rate.name.clone(),
                        format!("{:.0}", rate.offered),
                        format!("{:.0}", rate.reached),
                        from.to_owned(),
                    ]
                    .into_iter()
                    .chain(cells),
                );
            }
        }
        out.push_str(&table.markdown());
        for rate in &self.rates {
            if (rate.offered - 100_000.0).abs() < 1.0 {
                let p99 = rate.from_watermark.ms(99.0);
                let word = if p99 < 20.0 { "reached" } else { "**missed**" };
                out.push_str(&format!(
                    "\nTarget (p99 from watermark to flushed record under 20 ms at 100 000 lines/s): {word}, {} ms.\n",
                    ms(p99)
                ));
            }
        }
        out
    }
}
