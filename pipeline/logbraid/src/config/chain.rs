//! The chain of operators: its default, its order, and whether it can be built.

use logbraid_core::component::Context;
use logbraid_core::progress::TimeSettings;
use logbraid_core::{Fields, RecordKind, Span};
use serde_json::Value;

use super::node::{Data, Node};
use super::{Loader, OperatorStep, SinkStep, typed};
use crate::problem::{Place, Problem};

/// The chain when a configuration names none.
pub(super) const DEFAULT: [&str; 6] =
    ["thread", "correlate", "hierarchy", "error_flow", "error_burst", "retry_storm"];

/// What must stand before what, and why. The first must be there when `needed`.
const ORDER: [Rule; 7] = [
    Rule {
        first: "filter",
        then: "thread",
        needed: false,
        why: "what is left out must not lead a thread to a request",
    },
    Rule {
        first: "filter",
        then: "correlate",
        needed: false,
        why: "events are gone from the chain once they are grouped",
    },
    Rule {
        first: "thread",
        then: "repartition",
        needed: false,
        why: "what a thread worked on shows in the partition that was read first",
    },
    Rule {
        first: "repartition",
        then: "correlate",
        needed: false,
        why: "events are gone from the chain once they are grouped",
    },
    Rule {
        first: "correlate",
        then: "hierarchy",
        needed: true,
        why: "it works on the groups that 'correlate' makes",
    },
    Rule {
        first: "correlate",
        then: "error_flow",
        needed: true,
        why: "it works on the groups that 'correlate' makes",
    },
    Rule {
        first: "hierarchy",
        then: "error_flow",
        needed: false,
        why: "errors are followed along the tree that 'hierarchy' builds",
    },
];

struct Rule {
    first: &'static str,
    then: &'static str,
    needed: bool,
    why: &'static str,
}

/// An operator with the tree of its settings, for pointing at mistakes.
pub(super) struct Step {
    pub(super) step: OperatorStep,
    node: Node,
}

impl Loader<'_> {
    pub(super) fn operator(&mut self, item: &Node) -> Option<Step> {
        let (key, node) = typed::component(item, "operator", &mut self.problems)?;
        let Some(spec) = self.registry.operators.iter().find(|spec| spec.name == key.name) else {
            let names: Vec<&str> = self.registry.operators.iter().map(|spec| spec.name).collect();
            self.unknown("operator", &key.name, key.place, &names);
            return None;
        };
        let settings = node.to_value();
        Some(Step { step: OperatorStep { spec, settings, place: key.place }, node })
    }

    /// The default chain, of the operators that this program has.
    pub(super) fn default_chain(&self) -> Vec<Step> {
        let spec = |name: &&str| self.registry.operators.iter().find(|spec| spec.name == *name);
        let step = |spec| Step {
            step: OperatorStep { spec, settings: Value::Null, place: Place::default() },
            node: Node { data: Data::Map(Vec::new()), place: Place::default(), plain: false, secret: false },
        };
        DEFAULT.iter().filter_map(spec).map(step).collect()
    }

    /// `thread` says to which requests entries belong, so it works before they are grouped, wherever it is written.
    pub(super) fn hoist(steps: &mut Vec<Step>) {
        let at = |name: &str| steps.iter().position(|step| step.step.spec.name == name);
        if let (Some(correlate), Some(thread)) = (at("correlate"), at("thread"))
            && thread > correlate
        {
            let step = steps.remove(thread);
            steps.insert(correlate, step);
        }
    }

    pub(super) fn check_chain(&mut self, steps: &[Step]) {
        let at = |name: &str| steps.iter().position(|step| step.step.spec.name == name);
        for (index, Step { step, .. }) in steps.iter().enumerate() {
            let name = step.spec.name;
            if at(name) != Some(index) && name != "filter" {
                let problem =
                    Problem::at("order", step.place, format!("operator '{name}' is in the chain twice"))
                        .help("keep one of them");
                self.problems.push(problem);
            }
        }
        for rule in &ORDER {
            let Some(then) = at(rule.then) else { continue };
            let place = steps.get(then).map_or(Place::default(), |step| step.step.place);
            let (first, name) = (rule.first, rule.then);
            let problem = match at(first) {
                Some(before) if before > then => {
                    Problem::at("order", place, format!("operator '{name}' stands before '{first}'"))
                        .help(format!("move '{name}' below '{first}': {}", rule.why))
                }
                None if rule.needed => {
                    Problem::at("order", place, format!("operator '{name}' needs '{first}' before it"))
                        .help(format!("add `- {first}: {{}}` above it: {}", rule.why))
                }
                _ => continue,
            };
            self.problems.push(problem);
        }
    }

    /// What `repartition` lets out must be written somewhere.
    pub(super) fn check_repartition(&mut self, steps: &[Step], sinks: &[SinkStep]) {
        let step = steps.iter().find(|step| step.step.spec.name == "repartition");
        let taken = sinks.iter().any(|sink| sink.take.contains(&RecordKind::Entries));
        if let Some(Step { step, .. }) = step
            && !taken
        {
            let message = "operator 'repartition' lets entries out, and no sink takes them";
            let help = "add a sink `- kafka: { …, take: [entries], key: request, value: original }`, and a source \
                        `repartitioned: true` that reads its topic";
            self.problems.push(Problem::at("order", step.place, message).help(help));
        }
    }

    /// Builds every operator once, for the mistakes that only building finds.
    pub(super) fn build_chain(&mut self, steps: &[Step], time: TimeSettings) {
        let carry = carry_of(steps.iter().map(|step| &step.step));
        let originals = steps.iter().any(|step| step.step.spec.originals);
        let mut fields = Fields::default();
        for Step { step, node } in steps {
            let subject = format!("operator '{}'", step.spec.name);
            let _checked = typed::read(node, &subject, &mut self.problems, &mut |value| {
                let mut context =
                    Context { fields: &mut fields, time, carry, originals, read: crate::registry::read_file };
                (step.spec.build)(value, &mut context).map(drop)
            });
        }
    }
}

/// How long an attribution by thread may last, anywhere in a chain.
pub(super) fn carry(steps: &[OperatorStep]) -> Span {
    carry_of(steps.iter())
}

fn carry_of<'a>(mut steps: impl Iterator<Item = &'a OperatorStep>) -> Span {
    let Some(step) = steps.find(|step| step.spec.name == "thread") else { return Span::ZERO };
    let settings = super::print::with_defaults(&step.settings, (step.spec.schema)());
    settings.get("carry").and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(Span::ZERO)
}
