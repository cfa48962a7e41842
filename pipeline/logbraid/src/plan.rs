//! From a configuration to what the runtime runs: the chain, and the sinks.

use std::sync::Arc;

use logbraid_core::component::{BuildOperator, ConfigError, Context};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{Chain, Fields, RecordKind, Span};
use logbraid_parse::Compiled;
use logbraid_runtime::run::{MakeChain, SinkPlan};
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

/// What braids in a run: like [`Braid`], with as many chains as there are partitions with a state of their own.
pub struct Braids {
    /// How lines are understood.
    pub parse: Arc<Compiled>,
    /// The fields that the parser extracts.
    pub fields: Fields,
    /// Makes the operators, the same each time.
    pub chain: MakeChain,
}

/// Like [`braid`], for chains that are made while it runs.
pub fn braids(config: &Config, filter: Option<&Value>, entries: bool) -> Result<Braids, ConfigError> {
    let maker = Maker::of(config, filter);
    let mut fields = Fields::default();
    maker.make(&mut fields, entries)?;
    let parse = Arc::new(config.parse.compile()?);
    let known = fields.clone();
    // Operators ask for the same fields each time, and get the same numbers.
    let chain = Box::new(move || maker.make(&mut known.clone(), entries));
    Ok(Braids { parse, fields, chain })
}

/// Makes chains.
struct Maker {
    steps: Vec<(BuildOperator, Value)>,
    time: TimeSettings,
    carry: Span,
    merge: Span,
    originals: bool,
}

impl Maker {
    fn of(config: &Config, filter: Option<&Value>) -> Self {
        let spec = Registry::ALL.operators.iter().find(|spec| spec.name == "filter");
        let first = filter.zip(spec).map(|(settings, spec)| (spec.build, settings.clone()));
        let steps = config.operators.iter().map(|step| (step.spec.build, step.settings.clone()));
        Self {
            steps: first.into_iter().chain(steps).collect(),
            time: config.time,
            carry: config.carry(),
            merge: config.merge,
            originals: config.operators.iter().any(|step| step.spec.originals),
        }
    }

    fn make(&self, fields: &mut Fields, entries: bool) -> Result<Chain, ConfigError> {
        let mut context = Context {
            fields,
            time: self.time,
            carry: self.carry,
            originals: self.originals,
            read: crate::registry::read_file,
        };
        let stages = self.steps.iter().map(|(build, settings)| build(settings, &mut context));
        Ok(Chain::new(stages.collect::<Result<Vec<_>, _>>()?, entries, self.merge))
    }
}

/// Builds the chain of `config`. With `filter`, a `filter` of these settings stands before everything else; with
/// `entries`, entries leave the chain as records.
pub fn braid(config: &Config, filter: Option<&Value>, entries: bool) -> Result<Braid, ConfigError> {
    let mut fields = Fields::default();
    let chain = Maker::of(config, filter).make(&mut fields, entries)?;
    let parse = Arc::new(config.parse.compile()?);
    Ok(Braid { parse, fields, chain })
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
