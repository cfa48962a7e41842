//! Memory as people read it.

use super::{Memory, Row};
use crate::bench::table::Table;

fn mb(bytes: i64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn grown((before, after): (u64, u64)) -> i64 {
    after as i64 - before as i64
}

impl Row {
    fn each(&self, bytes: i64) -> String {
        format!("{:.0}", bytes as f64 / self.entries.max(1) as f64)
    }

    /// The row in a line, as it is measured.
    pub fn line(&self) -> String {
        let theirs = self
            .theirs
            .map_or_else(String::new, |theirs| format!("; batch tool VmRSS +{} MB", mb(grown(theirs.rss))));
        format!(
            "{} at {}: held {} MB, VmRSS +{} MB, {} bytes an entry{theirs}",
            self.operation.name(),
            self.entries,
            mb(self.ours.held),
            mb(grown(self.ours.rss)),
            self.each(self.ours.held)
        )
    }
}

impl Memory {
    /// The part of the page.
    pub fn markdown(&self) -> String {
        let mut out = String::from("## Memory\n\n");
        out.push_str(&self.machine.markdown());
        out.push_str(
            "\nEach operation in a process of its own, seen by two instruments. The **allocator's counter** sees every byte \
             that the program asked for, on all threads; it does not see what the allocator itself keeps, the stack, the \
             binary, nor what SQLite's C code allocates. **VmRSS** sees every page that the kernel holds for the process; \
             it does not see what was freed and kept by the allocator as free, rounds to pages, and in a small process \
             shows the start of threads rather than the data. Python's `tracemalloc` sees the interpreter's objects and \
             nothing of the batch tool's compiled core. Megabytes (10⁶), deltas over the operation, reading included.\n\n",
        );
        if let Some(why) = &self.skipped {
            out.push_str(&format!("The batch tool was **left out**: {why}.\n\n"));
        }
        let mut table = Table::new(&[
            "operation",
            "entries",
            "held",
            "most held",
            "VmRSS +",
            "most VmRSS",
            "batch tool: tracemalloc peak",
            "batch tool: VmRSS +",
            "batch tool: most VmRSS",
        ]);
        for row in &self.rows {
            let theirs = |of: &dyn Fn(&super::Theirs) -> i64| {
                row.theirs.as_ref().map_or_else(|| "–".to_owned(), |theirs| mb(of(theirs)))
            };
            table.row([
                row.operation.name().to_owned(),
                row.entries.to_string(),
                mb(row.ours.held),
                mb(row.ours.held_max),
                mb(grown(row.ours.rss)),
                mb(row.ours.rss_max as i64),
                theirs(&|theirs| theirs.traced_max as i64),
                theirs(&|theirs| grown(theirs.rss)),
                theirs(&|theirs| theirs.rss_max as i64),
            ]);
        }
        out.push_str(&table.markdown());
        out.push_str("\n### Bytes an entry, by component of the index\n\n");
        let mut table = Table::new(&[
            "operation",
            "entries",
            "file",
            "columns",
            "dictionaries",
            "text",
            "index",
            "held (allocator)",
            "VmRSS +",
            "batch tool, VmRSS +",
        ]);
        for row in self.rows.iter().filter(|row| row.ours.index.0 > 0) {
            let (columns, dictionaries, text) = row.ours.index;
            let cells = [row.file_bytes, columns, dictionaries, text, columns + dictionaries + text];
            let theirs = row.theirs.map_or_else(|| "–".to_owned(), |theirs| row.each(grown(theirs.rss)));
            table.row(
                [row.operation.name().to_owned(), row.entries.to_string()]
                    .into_iter()
                    .chain(cells.map(|bytes| row.each(bytes as i64)))
                    .chain([row.each(row.ours.held), row.each(grown(row.ours.rss)), theirs]),
            );
        }
        out.push_str(&table.markdown());
        if let Some(idle) = &self.idle {
            out.push_str(&format!(
                "\n### A sidecar\n\nThe stripped binary has {} MB (target: under 25); following an empty file with an index, \
                 `thread`, `correlate`, `hierarchy` and `error_flow`, it has {} MB resident (target: under 15).\n",
                mb(idle.binary_bytes as i64),
                mb(idle.rss as i64)
            ));
            if let (Some(gauges), Some(counted)) = (idle.gauges, idle.counted) {
                let each = |bytes: u64, entries: u64| format!("{:.1}", bytes as f64 / entries.max(1) as f64);
                out.push_str(&format!(
                    "\n`/metrics` of that sidecar after {} entries, in bytes an entry: columns {}, dictionaries {}, text {}; \
                     the same file counted in a process of its own: {}, {}, {}. The sidecar's youngest entries are in an open \
                     block, which its gauge `index_open_bytes` counts.\n",
                    gauges.0,
                    each(gauges.1, gauges.0),
                    each(gauges.2, gauges.0),
                    each(gauges.3, gauges.0),
                    each(counted.0, gauges.0),
                    each(counted.1, gauges.0),
                    each(counted.2, gauges.0),
                ));
            }
        }
        out
    }
}
