//! Builds the chain that users get, from the same list of operators.

use logbraid_core::component::{ConfigError, Context};
use logbraid_core::progress::TimeSettings;
use logbraid_core::{Chain, Fields, Operator, Span};
use logbraid_operators::OPERATORS;
use serde_json::{Value, json};

/// Operators of a chain, by name, with their settings.
pub type Steps = Vec<(&'static str, Value)>;

/// The steps of the default chain that are there, in order.
pub fn steps() -> Steps {
    ["thread", "correlate", "hierarchy", "error_flow", "error_burst", "retry_storm"]
        .into_iter()
        .filter(|name| OPERATORS.iter().any(|spec| spec.name == *name))
        .map(|name| (name, json!({})))
        .collect()
}

/// Builds `steps`. Fails on an unknown name or a setting that an operator refuses.
pub fn operators(steps: &Steps, time: TimeSettings) -> Result<(Vec<Box<dyn Operator>>, Fields), ConfigError> {
    let mut fields = Fields::default();
    let carry = steps
        .iter()
        .find(|(name, _)| *name == "thread")
        .and_then(|(_, settings)| settings["carry"].as_str()?.parse().ok())
        .unwrap_or(if steps.iter().any(|(name, _)| *name == "thread") {
            Span::from_seconds(2)
        } else {
            Span::ZERO
        });
    let needs = |(name, _): &(&str, _)| OPERATORS.iter().any(|spec| spec.name == *name && spec.originals);
    let originals = steps.iter().any(needs);
    let mut built = Vec::new();
    for (name, settings) in steps {
        let spec = OPERATORS
            .iter()
            .find(|spec| spec.name == *name)
            .ok_or_else(|| ConfigError::new(name, format!("there is no operator '{name}'")))?;
        built.push((spec.build)(
            settings,
            &mut Context {
                fields: &mut fields,
                time,
                carry,
                originals,
                read: logbraid_core::component::no_files,
            },
        )?);
    }
    Ok((built, fields))
}

/// The chain of `steps`; with `entries`, events leave as records too.
pub fn chain(steps: &Steps, time: TimeSettings, entries: bool) -> Result<(Chain, Fields), ConfigError> {
    let (operators, fields) = operators(steps, time)?;
    Ok((Chain::new(operators, entries, Span::from_seconds(60)), fields))
}
