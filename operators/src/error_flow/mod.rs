//! Finds where a request's errors began and how they spread.
//!
//! ```text
//!   gateway ──► checkout ──► payments ──► payments-db
//!      ▲           ▲            ▲             ✗ 10:00:00.020  root cause: no earlier error below it
//!      └───────────┴────────────┴─────────────┘
//!   ✗ .070      ✗ .060       ✗ .050               the chain: upwards, and forward in time
//! ```
//!
//! An error above that came *before* the cause is no effect: it is a cause of its own. Where the tree does not connect
//! two failing nodes, time orders them, and the confidence says so.

use logbraid_core::component::{Component, ConfigError, Context};
use logbraid_core::flow::ErrorFlow;
use logbraid_core::tree::{Hierarchy, Method};
use logbraid_core::{Emit, Group, Operator};

use crate::hierarchy::{Linking, build};

mod finding;
pub(crate) mod target;
#[cfg(test)]
mod tests;
mod trace;

/// Settings of `error_flow`: none yet.
#[derive(Debug, Clone, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// The operator.
#[derive(Debug, Default)]
pub struct TraceErrors {
    traced: u64,
    causes: u64,
}

/// The tree that errors are traced in, where `hierarchy` has not built one: stated parents only.
fn tree_of(group: &Group) -> Hierarchy {
    build(group, &Linking { methods: vec![Method::Explicit], min_confidence: 0.0 })
}

/// The error flow of a group; `None` when it has no errors. Uses the group's hierarchy where it has one.
pub fn trace(group: &Group) -> Option<ErrorFlow> {
    if group.levels.errors() == 0 {
        return None;
    }
    let own = group.hierarchy.is_none().then(|| tree_of(group));
    let tree = own.as_ref().or(group.hierarchy.as_ref())?;
    trace::trace(group, tree).map(|traced| traced.flow)
}

impl Operator for TraceErrors {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn on_group(&mut self, mut group: Box<Group>, out: &mut Emit) {
        if group.levels.errors() == 0 {
            return out.group(group);
        }
        let built = group.hierarchy.is_none().then(|| tree_of(&group));
        if let Some(tree) = built.as_ref().or(group.hierarchy.as_ref())
            && let Some(traced) = trace::trace(&group, tree)
        {
            self.traced += 1;
            self.causes += traced.causes as u64;
            // A late entry revises the timeline; the finding was told before.
            if group.revision == 0
                && let Some((origin, finding)) = finding::finding(&group, tree, &traced)
            {
                out.finding_of(&group, origin, finding);
            }
            group.error_flow = Some(traced.flow);
        }
        out.group(group);
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        report("traced_total", self.traced);
        report("root_causes_total", self.causes);
    }
}

impl Component for TraceErrors {
    type Config = Config;
    const NAME: &'static str = "error_flow";
    const DOCS: &'static str = include_str!("README.md");

    fn build(_: Config, _: &mut Context<'_>) -> Result<Self, ConfigError> {
        Ok(Self::default())
    }
}
