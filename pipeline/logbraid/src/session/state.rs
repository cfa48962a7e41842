//! What a session remembers: what was asked of which inputs, what was found where, notes, and a conclusion.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::problem::Problem;

/// Most steps of a session.
pub(super) const STEPS_MAX: usize = 10_000;
/// Most places of entries that a step keeps.
pub(super) const PLACES_MAX: usize = 100;
/// Most correlation ids that a step keeps.
const IDS_MAX: usize = 100;

/// A session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "fields carry the names of the document")]
pub(super) struct Session {
    pub(super) session_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) created_at: String,
    /// Inputs, as they can be given to any question from any folder.
    pub(super) files: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) db_path: Option<String>,
    pub(super) status: Status,
    pub(super) log: Vec<Step>,
    /// Steps that were undone, the last one first to come back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) undone: Vec<Step>,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Active,
    Concluded,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "fields carry the names of the document")]
pub(super) struct Step {
    /// From 1 on.
    pub(super) step: usize,
    /// When it was done.
    pub(super) timestamp: String,
    #[serde(flatten)]
    pub(super) action: Action,
}

/// What a step was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(super) enum Action {
    /// A question was asked.
    Query(Box<Asked>),
    /// Something was written down.
    Note { text: String },
    /// The session came to an end.
    Conclude { conclusion: Conclusion },
}

/// A question and what became of it: enough to ask it again and to see whether the answer is the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) question: String,
    /// As it was typed, the question's name first.
    pub(super) words: Vec<String>,
    /// The question's own options.
    pub(super) request: Value,
    /// The options of every question.
    pub(super) options: Value,
    /// The inputs that were asked, where they are not the session's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) inputs: Vec<String>,
    pub(super) found: bool,
    /// A fingerprint of the whole answer.
    pub(super) answer: String,
    /// Numbers and short texts at the top of the answer.
    pub(super) summary: Map<String, Value>,
    /// Where the first entries of the answer were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sources: Vec<Value>,
    /// How many places there are.
    pub(super) total_sources: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) correlation_ids: Vec<String>,
}

/// A question before it is answered.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) question: String,
    pub(super) words: Vec<String>,
    pub(super) request: Value,
    pub(super) options: Value,
    pub(super) inputs: Vec<String>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Conclusion {
    pub(super) summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) root_cause: Option<String>,
    /// 0 to 1.
    pub(super) confidence: f64,
    pub(super) concluded_at: String,
}

impl Session {
    /// Adds a step; what was undone before cannot come back.
    pub(super) fn add(&mut self, timestamp: String, action: Action) -> Result<usize, Problem> {
        if self.status == Status::Concluded {
            return Err(Problem::new("session", format!("the session '{}' is concluded", self.session_id))
                .help(format!("open it again with `logbraid session undo {}`", self.session_id)));
        }
        if self.log.len() >= STEPS_MAX {
            return Err(Problem::new("session", format!("the session has {STEPS_MAX} steps already"))
                .help("conclude it, and create another one"));
        }
        let step = self.log.len() + 1;
        self.undone.clear();
        self.push(Step { step, timestamp, action });
        Ok(step)
    }

    fn push(&mut self, step: Step) {
        if matches!(step.action, Action::Conclude { .. }) {
            self.status = Status::Concluded;
        }
        self.log.push(step);
    }

    /// Takes the last step back.
    pub(super) fn undo(&mut self) -> Option<&Step> {
        let step = self.log.pop()?;
        if matches!(step.action, Action::Conclude { .. }) {
            self.status = Status::Active;
        }
        self.undone.push(step);
        self.undone.last()
    }

    /// Does again what was undone last.
    pub(super) fn redo(&mut self) -> Option<&Step> {
        let mut step = self.undone.pop()?;
        step.step = self.log.len() + 1;
        self.push(step);
        self.log.last()
    }

    /// The conclusion, if there is one.
    pub(super) fn conclusion(&self) -> Option<&Conclusion> {
        self.log.iter().rev().find_map(|step| match &step.action {
            Action::Conclude { conclusion } => Some(conclusion),
            _ => None,
        })
    }

    /// Correlation ids that answers named, in order.
    pub(super) fn correlation_ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = Vec::new();
        for step in &self.log {
            if let Action::Query(asked) = &step.action {
                ids.extend(asked.correlation_ids.iter().map(String::as_str));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

impl Asked {
    /// What `document` says in short, and where it was read.
    pub(super) fn of(typed: Typed, found: bool, document: &Value) -> Self {
        let Typed { question, words, request, options, inputs } = typed;
        let text = document.to_string();
        let mut seen = Seen::default();
        seen.look(document);
        let short = |value: &Value| match value {
            Value::Number(_) | Value::Bool(_) => true,
            Value::String(text) => text.len() <= 200,
            _ => false,
        };
        let top = document.as_object().into_iter().flatten();
        let mut summary: Map<String, Value> =
            top.filter(|(_, value)| short(value)).map(|(key, value)| (key.clone(), value.clone())).collect();
        if let Some(inner) = document.get("summary").and_then(Value::as_object) {
            summary
                .extend(inner.iter().filter(|(_, value)| short(value)).map(|(k, v)| (k.clone(), v.clone())));
        }
        Self {
            question,
            words,
            request,
            options,
            inputs,
            found,
            answer: logbraid_core::Id::of(&[&text]).to_string(),
            summary,
            sources: seen.sources,
            total_sources: seen.total,
            correlation_ids: seen.ids,
        }
    }
}

#[derive(Default)]
struct Seen {
    sources: Vec<Value>,
    total: usize,
    ids: Vec<String>,
}

impl Seen {
    fn look(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(source) = map.get("source").filter(|source| source.get("input").is_some()) {
                    self.total += 1;
                    if self.sources.len() < PLACES_MAX {
                        self.sources.push(source.clone());
                    }
                }
                if let Some(Value::String(id)) = map.get("correlation_id")
                    && self.ids.len() < IDS_MAX
                    && !self.ids.contains(id)
                {
                    self.ids.push(id.clone());
                }
                map.values().for_each(|value| self.look(value));
            }
            Value::Array(items) => items.iter().for_each(|item| self.look(item)),
            _ => {}
        }
    }
}
