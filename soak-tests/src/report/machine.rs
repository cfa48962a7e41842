//! Where and when figures were taken: without it they say nothing.

use std::fs;

use logbraid_runtime::clock::{Clock as _, HostClock};
use serde::{Deserialize, Serialize};

/// A machine at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor.
    pub processor: String,
    /// Its cores.
    pub cores: usize,
    /// The operating system's kernel.
    pub kernel: String,
    /// The version of logbraid.
    pub version: String,
    /// When, as RFC 3339.
    pub date: String,
    /// The arguments of the program.
    pub command: String,
    /// Programs that wanted to run, averaged over a minute, when the measurements began. What is above what the
    /// measurements themselves ask for was other people's work.
    pub load_before: f64,
    /// The same, when they had ended.
    pub load_after: f64,
}

impl Machine {
    /// This machine, now.
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let date = HostClock::default().now().to_string();
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            processor: model.map_or("unknown processor", |(_, model)| model.trim()).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: format!("Linux {}", kernel.trim()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: date.split('.').next().unwrap_or_default().trim_end_matches('Z').to_owned() + "Z",
            command: format!("cargo run --release -p logbraid-soak -- {}", without_places(arguments)),
            load_before: load(),
            load_after: 0.0,
        }
    }
    /// Notes the load at the end.
    #[must_use]
    pub fn ended(mut self) -> Self {
        self.load_after = load();
        self
    }
    /// Two lines for a page.
    pub fn markdown(&self) -> String {
        let Self { processor, cores, kernel, version, date, command, load_before, load_after } = self;
        format!(
            "`{command}`\n\n{processor}, {cores} cores, {kernel}; logbraid {version}; {date}; load average \
             {load_before:.1} before, {load_after:.1} after.\n"
        )
    }
}

/// The arguments, without those that only say where things are on this machine.
fn without_places(arguments: impl IntoIterator<Item = String>) -> String {
    const PLACES: [&str; 3] = ["--binary", "--json", "--tool"];
    let mut kept = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let name = argument.split('=').next().unwrap_or_default();
        if !PLACES.contains(&name) {
            kept.push(argument);
        } else if name == argument {
            // Its value follows.
            arguments.next();
        }
    }
    kept.join(" ")
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_on_the_machine_are_not_told() {
        let given = ["soak", "--json", "/x/y.json", "--seconds", "60", "--tool=/z"].map(str::to_owned);
        assert_eq!(without_places(given), "soak --seconds 60");
    }
}
