//! Rebuilds who called whom in a request, and where its time went.
//!
//! ```text
//!  entries of a group          nodes                    tree                     measures
//!  api  w1  span=a  …   ─►   a  0–520 ms        ─►   a ─┬─ b ─── d        ─►   own time, critical path,
//!  db   w7  span=b  …        b  20–400 ms               └─ c                   concurrency, bottleneck
//!  db   w7          …        c, d …
//!                                               parent: stated 1.0 › named 0.8 › enclosed in time 0.6
//! ```
//!
//! Everything is linear or n log n in the entries, and each entry is counted once.

use logbraid_core::component::{Component, ConfigError, Context, ensure};
use logbraid_core::tree::Method;
use logbraid_core::{Emit, Group, Operator, Phase, Span};

mod build;
mod findings;
mod links;
mod measure;
mod nodes;
#[cfg(test)]
mod tests;

pub use build::{Linking, build};

/// Settings of `hierarchy`.
#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Ways to find a node's parent: `explicit` (a parent span id), `naming` (`worker-1.task` under `worker-1`),
    /// `temporal` (a thread's time lies within another's).
    pub methods: Vec<Method>,
    /// Links less sure than this are not made. Explicit ones have 1.0, by name 0.8, by time 0.6.
    pub min_confidence: f64,
    /// A node must have at least this much time of its own to be reported as a bottleneck.
    pub bottleneck_min: Span,
    /// And at least this share of the request's length, 0 to 1.
    pub bottleneck_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        let Linking { methods, min_confidence } = Linking::default();
        Self { methods, min_confidence, bottleneck_min: Span::from_millis(100), bottleneck_share: 0.5 }
    }
}

/// The operator.
#[derive(Debug)]
pub struct Hierarchy {
    linking: Linking,
    limits: findings::Limits,
    built: u64,
    nodes: u64,
    cycles: u64,
    missing: u64,
}

impl Operator for Hierarchy {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn on_group(&mut self, mut group: Box<Group>, out: &mut Emit) {
        let tree = build(&group, &self.linking);
        self.built += 1;
        self.nodes += tree.nodes.len() as u64;
        self.cycles += tree.cycles_cut.len() as u64;
        self.missing += tree.missing_parents as u64;
        // What is said of an open request may still change; what was said of a closed one is not said again.
        if let (Phase::Closed(why), 0) = (group.phase, group.revision) {
            let slow = findings::bottleneck(&group, &tree, &self.limits);
            let missing = findings::incomplete(&group, &tree, why);
            for finding in slow.into_iter().chain(missing) {
                out.finding(group.due, group.hold, finding);
            }
        }
        group.hierarchy = Some(tree);
        out.group(group);
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("trees_total", self.built);
        report("nodes_total", self.nodes);
        report("cycles_cut_total", self.cycles);
        report("missing_parents_total", self.missing);
    }
}

impl Component for Hierarchy {
    type Config = Config;
    const NAME: &'static str = "hierarchy";
    const DOCS: &'static str = include_str!("README.md");

    fn build(config: Config, _: &mut Context<'_>) -> Result<Self, ConfigError> {
        let part = 0.0..=1.0;
        ensure(part.contains(&config.min_confidence), "min_confidence", "must be from 0 to 1; try `0.5`")?;
        ensure(
            part.contains(&config.bottleneck_share),
            "bottleneck_share",
            "must be from 0 to 1; try `0.5`",
        )?;
        let Config { methods, min_confidence, bottleneck_min, bottleneck_share } = config;
        Ok(Self {
            linking: Linking { methods, min_confidence },
            limits: findings::Limits { own_min: bottleneck_min, share_min: bottleneck_share },
            built: 0,
            nodes: 0,
            cycles: 0,
            missing: 0,
        })
    }
}
