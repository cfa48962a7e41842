//! A long run as people read it.

use super::Soak;
use crate::bench::table::Table;

impl Soak {
    /// The part of the page.
    pub fn markdown(&self) -> String {
        let mut out = String::from("## Soak\n\n");
        out.push_str(&self.machine.markdown());
        let disks = self.disks_full.map_or_else(
            || "a full disk left out: no small one could be mounted".to_owned(),
            |n| format!("{n} full disks"),
        );
        let steps = self.clock_steps.map_or_else(
            || "its clock was not set (without libfaketime it cannot be)".to_owned(),
            |n| format!("its clock was set forth or back {n} times, by up to a day"),
        );
        out.push_str(&format!(
            "\n{} s at {} lines/s into a log that two instances follow. The storm: {} kills (`kill -9`), {} times nobody \
             read what it said for 3 s, {disks}, {steps}, ended by itself and started again {} times. Both: {} rotations \
             by rename.\n\n",
            self.offered.0, self.offered.1, self.kills, self.stalls, self.revived, self.rotations
        ));
        let mut table = Table::new(&[
            "instance",
            "lines",
            "lost",
            "invented",
            "requests",
            "wrong",
            "records changed",
            "repeated",
            "torn",
        ]);
        for (name, verdict) in [("storm", &self.storm), ("steady", &self.steady)] {
            let Some(of) = verdict else { continue };
            let cells = [
                of.lines,
                of.lost,
                of.invented,
                of.requests,
                of.requests_wrong,
                of.changed,
                of.repeated,
                of.torn,
            ];
            table.row(std::iter::once(name.to_owned()).chain(cells.map(|count| count.to_string())));
        }
        out.push_str(&table.markdown());
        let (early, late, files) = self.descriptors;
        let rss = |at: Option<&(f64, u64)>| at.map_or(0.0, |(_, bytes)| *bytes as f64 / 1e6);
        out.push_str(&format!(
            "\nThe steady one: {:.1} MB resident after half the time, {:.1} at the end, slope of the second half {:+.2} \
             MB/minute; {early} descriptors at a quarter, {late} at the end, {files} files followed.\n",
            rss(self.rss.get(self.rss.len() / 2)),
            rss(self.rss.last()),
            self.slope() / 1e6
        ));
        let thirds: Vec<String> =
            self.latency_ms.iter().map(|(p50, p99)| format!("{p50:.0} / {p99:.0}")).collect();
        out.push_str(&format!(
            "From a line's moment to its record, p50 / p99 in ms by third of the run: {} (`max_delay` is 1 s of it).\n",
            thirds.join(", ")
        ));
        for failure in &self.failures {
            out.push_str(&format!("\n**Failed**: {failure}\n"));
        }
        out
    }
}
