//! Our side, as a program that links the library sees it: a window of files is read once and held; questions are asked
//! of it, and their answers are written as the JSON that users get.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use logbraid_core::progress::TimeSettings;
use logbraid_core::{Chain, Operator, Span};
use logbraid_operators::index::Index;
use logbraid_parse::Settings;
use logbraid_query::{Answered, Asked, Window};
use logbraid_runtime::clock::HostClock;
use logbraid_runtime::metrics::Metrics;
use logbraid_runtime::run::RunPlan;
use logbraid_runtime::source::inputs;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::chain;

/// Most memory of a held window.
const MEMORY_BYTES: usize = 2 << 30;

/// Reads `files` to their end into a window.
///
/// # Errors
/// When a file cannot be read, or anything was lost.
pub fn window(files: &[(String, PathBuf)]) -> io::Result<Window> {
    let texts: Vec<String> = files
        .iter()
        .map(|(service, path)| {
            let database = path.extension().is_some_and(|end| end == "db");
            match (service.as_str(), path.display()) {
                (_, path) if database => format!("sqlite:{path}#qler_jobs"),
                ("", path) => path.to_string(),
                (service, path) => format!("{service}={path}"),
            }
        })
        .collect();
    let resolved = inputs::resolve(&texts, false).map_err(io::Error::other)?;
    let time = TimeSettings::default();
    let (mut operators, fields) =
        chain::operators(&vec![("thread", json!({}))], time).map_err(io::Error::other)?;
    let index = Index::batch(MEMORY_BYTES);
    let reader = index.reader();
    operators.push(Box::new(index) as Box<dyn Operator>);
    let chain = Mutex::new(Some(Chain::new(operators, false, Span::from_seconds(60))));
    let lost = Arc::new(Mutex::new(None));
    let told = Arc::clone(&lost);
    let plan = RunPlan {
        inputs: resolved.inputs,
        groups: Vec::new(),
        listeners: logbraid_runtime::source::receive::Plan::default(),
        follow: false,
        parse: Arc::new(Settings::default().compile().map_err(io::Error::other)?),
        fields,
        time,
        chain: Box::new(move || {
            let made = chain.lock().unwrap_or_else(PoisonError::into_inner).take();
            made.ok_or_else(|| {
                logbraid_core::component::ConfigError::new("", "one chain serves all files of a window")
            })
        }),
        sinks: Vec::new(),
        checkpoint: None,
        workers: 0,
        clock: Arc::new(HostClock::default()),
        metrics: Arc::new(Metrics::default()),
        notice: Arc::new(move |is_lost, text| {
            if is_lost {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
            }
        }),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ran = runtime.block_on(logbraid_runtime::run::run(plan, CancellationToken::new()));
    runtime.shutdown_background();
    ran.map_err(io::Error::other)?;
    if let Some(text) = lost.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(io::Error::other(text));
    }
    let view = reader.view();
    let now = view.newest();
    Ok(Window::new(view, now, false))
}

/// A request for `question`, as HTTP has it.
///
/// # Errors
/// When there is no such question, or it has no such options.
pub fn asked(question: &str, request: &Value) -> io::Result<Box<dyn Asked>> {
    let spec = logbraid_query::question(question)
        .ok_or_else(|| io::Error::other(format!("there is no question `{question}`")))?;
    (spec.from_json)(request).map_err(|error| io::Error::other(format!("{question}: {error:?}")))
}

/// Asks, and writes the answer to `out`.
///
/// # Errors
/// When the question cannot be answered.
pub fn ask(asked: &dyn Asked, window: &Window, out: &mut Vec<u8>) -> io::Result<Answered> {
    let answered = asked.ask(window, None).map_err(|error| io::Error::other(format!("{error:?}")))?;
    match &answered.written {
        Some(written) => out.extend_from_slice(written.text.as_bytes()),
        None => serde_json::to_writer(out, &answered.document)?,
    }
    Ok(answered)
}
