//! `export`: requests for the tools that show traces.

mod chrome;
mod jaeger;
mod model;
mod otlp;
mod page;
#[cfg(test)]
mod tests;
mod zipkin;

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::model::Trace;
use crate::count::is_zero;
use crate::hierarchy::How;
use crate::request::{self, Of, Request};
use crate::timeline::ALL;
use crate::{IdKind, Question, QuestionError, Reply, Window, Written};

/// Which requests, and for what.
#[derive(Debug, Clone, Args, Serialize, Deserialize, JsonSchema)]
pub struct Export {
    /// A request by any of its ids, or `all` for the requests of the window.
    #[arg(value_name = "ID")]
    pub id: String,
    /// What kind of id it is, where it could be several.
    #[arg(long = "type", value_name = "KIND")]
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<IdKind>,
    /// What it is written for.
    #[arg(long = "as", value_name = "FORM", value_enum)]
    #[serde(rename = "as")]
    pub form: Form,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub how: How,
    /// Most requests, with `all`; the first ones. What is left out is counted.
    #[arg(long, value_name = "N", default_value_t = LIMIT)]
    #[serde(default = "limit")]
    pub limit: usize,
    /// Writes it to FILE, and to stdout what it holds.
    #[arg(long, value_name = "FILE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
}

const LIMIT: usize = 100;
const fn limit() -> usize {
    LIMIT
}

/// What an export is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// OpenTelemetry: OTLP as JSON.
    Otlp,
    /// Jaeger's user interface.
    Jaeger,
    /// Zipkin, version 2.
    Zipkin,
    /// Perfetto and `chrome://tracing`.
    Perfetto,
    /// One page that needs nothing else.
    Html,
}

/// What was exported.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Answer {
    /// The id that was asked for.
    pub identifier: String,
    /// What it is written for.
    pub format: Form,
    /// Requests in it.
    pub trace_count: usize,
    /// Requests that were asked for, in it or not.
    pub total_traces: u64,
    /// Spans in it.
    pub span_count: usize,
    /// Entries in it, as events of their spans.
    pub entry_count: u64,
    /// Entries whose text cannot be read any more: they have no message.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// Bytes of it.
    pub bytes: usize,
    /// True when not all requests or entries are in it.
    pub truncated: bool,
    #[serde(skip)]
    text: String,
}

/// A request as OTLP has it: the JSON text of an array of `ResourceSpans`. `None` without a tree, and thus without spans.
pub fn resource_spans(group: &logbraid_core::Group) -> Option<String> {
    let trace = Trace::of(group);
    if trace.spans.is_empty() {
        return None;
    }
    serde_json::to_string(&otlp::resources(&[trace])).ok()
}

impl Question for Export {
    const NAME: &'static str = "export";
    const DOCS: &'static str = include_str!("README.md");
    type Answer = Answer;

    fn out(&self) -> Option<&str> {
        self.out.as_deref()
    }

    fn ask(&self, window: &Window) -> Result<Reply<Answer>, QuestionError> {
        let linking = self.how.linking()?;
        let mut answer = Answer {
            identifier: self.id.clone(),
            format: self.form,
            trace_count: 0,
            total_traces: 0,
            span_count: 0,
            entry_count: 0,
            unreadable: 0,
            bytes: 0,
            truncated: false,
            text: String::new(),
        };
        let requests: Vec<Request<'_>> = if self.id == ALL && self.kind.is_none() {
            let most = if self.limit == 0 { usize::MAX } else { self.limit };
            let request::All { requests, total } = request::all(window, most);
            answer.total_traces = total;
            answer.truncated = total > requests.len() as u64;
            requests
        } else {
            let of = Of { id: self.id.clone(), kind: self.kind };
            let found = Request::find(window, &of);
            answer.total_traces = u64::from(found.is_some());
            found.into_iter().collect()
        };
        let traces: Vec<Trace> = requests
            .into_iter()
            .map(|request| {
                answer.unreadable += request.unreadable;
                answer.truncated |= request.is_cut();
                let id = if self.id == ALL { request.group.key.value.clone() } else { self.id.clone() };
                Trace::of(&request.with_tree(&id, &linking).group)
            })
            .collect();
        if traces.is_empty() {
            return Ok(Reply::when(false, answer));
        }
        answer.trace_count = traces.len();
        answer.span_count = traces.iter().map(|trace| trace.spans.len()).sum();
        answer.entry_count =
            traces.iter().flat_map(|trace| &trace.spans).map(|span| span.events.len() as u64).sum();
        let text = match self.form {
            Form::Otlp => otlp::document(&traces),
            Form::Jaeger => jaeger::document(&traces),
            Form::Zipkin => zipkin::document(&traces),
            Form::Perfetto => chrome::document(&traces),
            Form::Html => page::document(&traces),
        };
        answer.text =
            text.map_err(|error| QuestionError::new("answer", format!("the export is not JSON: {error}")))?;
        answer.bytes = answer.text.len();
        Ok(Reply::found(answer))
    }

    fn written(&self, answer: &Answer) -> Option<Written> {
        let media_type =
            if self.form == Form::Html { "text/html; charset=utf-8" } else { "application/json" };
        (answer.trace_count > 0).then(|| Written { media_type, text: answer.text.clone() })
    }
}
