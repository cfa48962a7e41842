//! From a configuration to what the runtime runs: the chain, and the sinks.

use std::sync::Arc;

use logbraid_core::component::{ConfigError, Context};
use logbraid_core::{Chain, Fields, RecordKind};
use logbraid_parse::Compiled;
use logbraid_runtime::run::SinkPlan;
use serde_json::Value;

use crate::config::Config;
use crate::registry::Registry;

/// What braids: the parser's settings, the fields that operators asked for, and the chain.
pub struct Braid {
    /// How lines are understood.
    pub parse: Arc<Compiled>,
    /// The fields that the parser extracts.
    pub fields: Fields,
    /// The operators.
    pub chain: Chain,
}

/// Builds the chain of `config`. With `filter`, a `filter` of these settings stands before everything else; with
/// `entries`, entries leave the chain as records.
pub fn braid(config: &Config, filter: Option<&Value>, entries: bool) -> Result<Braid, ConfigError> {
    let mut fields = Fields::default();
    let mut context = Context { fields: &mut fields, time: config.time, carry: config.carry() };
    let mut stages = Vec::new();
    if let Some(settings) = filter {
        let spec = Registry::ALL.operators.iter().find(|spec| spec.name == "filter");
        let spec = spec.ok_or_else(|| ConfigError::new("", "there is no operator `filter`"))?;
        stages.push((spec.build)(settings, &mut context)?);
    }
    for step in &config.operators {
        stages.push((step.spec.build)(&step.settings, &mut context)?);
    }
    let parse = Arc::new(config.parse.compile()?);
    Ok(Braid { parse, fields, chain: Chain::new(stages, entries, config.merge) })
}

/// Builds the sinks of `config`.
pub fn sinks(config: &Config, context: &logbraid_sinks::Context) -> Result<Vec<SinkPlan>, ConfigError> {
    let build = |step: &crate::config::SinkStep| {
        let mut settings = step.settings.clone();
        if settings.is_null() {
            settings = serde_json::json!({});
        }
        // The sink filters, too: what it takes is told to both, so that neither drops what the other asked for.
        settings["take"] = serde_json::json!(step.take);
        let sink = (step.spec.build)(&settings, context)?;
        Ok(SinkPlan { sink, take: step.take.clone() })
    };
    config.sinks.iter().map(build).collect()
}

/// True when any of `sinks` takes entries, so that the chain must let them out.
pub fn wants_entries(sinks: &[SinkPlan]) -> bool {
    sinks.iter().any(|sink| sink.take.contains(&RecordKind::Entries))
}
