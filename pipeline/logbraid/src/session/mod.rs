//! Sessions: an investigation that is written down while it goes on, and that can be gone through again.
//!
//! ```text
//!  session query ID WORDS ─► the question's own door ─► answer ─► step: request, what was found and where ─► store
//!  session rerun ID       ─► the same requests again ─► same answer, or not
//! ```

mod args;
mod report;
mod state;
mod store;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use logbraid_core::{Id, Span};
use logbraid_runtime::clock::{Clock, HostClock};
use logbraid_runtime::source::inputs;
use serde_json::{Value, json};

pub use self::args::SessionArgs;
use self::args::{Command, Format, Out};
use self::state::{Action, Asked, Conclusion, Session, Status as State, Typed};
use self::store::Store;
use crate::ask::{Asking, Shape, write_document};
use crate::cli::{Fault, Status, Terminal, print, tell};
use crate::problem::Problem;

/// Does what a `session` command asks for.
pub(crate) fn session(args: SessionArgs, terminal: &Terminal) -> Result<Status, Fault> {
    let store = Store::new(args.state_dir.clone())?;
    let show = |mut document: Value, out: &Out| -> Result<Status, Fault> {
        if let Some(map) = document.as_object_mut() {
            map.retain(|_, value| !value.is_null());
        }
        print(write_document(document, &out.shape(terminal))?.text.as_bytes());
        Ok(Status::Done)
    };
    match args.command {
        Command::Create { inputs, files, db, name, out } => {
            show(create(&store, [inputs, files].concat(), db, name)?, &out)
        }
        Command::List { out } => list(&store, &out.shape(terminal)),
        Command::Show { id, out } => {
            let session = store.read(&store.find(&id)?)?;
            let mut document = json!(session);
            document["correlation_ids"] = json!(session.correlation_ids());
            document["conclusion"] = json!(session.conclusion());
            document["session_file"] = json!(store.path(&session.session_id));
            show(document, &out)
        }
        Command::Query { id, words } => query(&store, &id, words, terminal),
        Command::Note { id, text, out } => {
            let text = not_empty("--text", text)?;
            let id = store.find(&id)?;
            let note = Action::Note { text: text.clone() };
            let (_, step) = store.change(&id, |session| Ok(session.add(now(), note)?))?;
            show(json!({ "status": "noted", "session_id": id, "step": step, "note": text }), &out)
        }
        Command::Conclude { id, summary, root_cause, confidence, out } => {
            let conclusion = Conclusion {
                summary: not_empty("--summary", summary)?,
                root_cause,
                confidence,
                concluded_at: now(),
            };
            let id = store.find(&id)?;
            let action = Action::Conclude { conclusion: conclusion.clone() };
            let at = conclusion.concluded_at.clone();
            let (session, _) = store.change(&id, |session| Ok(session.add(at, action)?))?;
            let log = session.log;
            show(json!({ "session_id": id, "conclusion": conclusion, "investigation_log": log }), &out)
        }
        Command::Undo { id, out } => {
            let id = store.find(&id)?;
            let (session, step) = store.change(&id, |session| {
                session.undo().cloned().ok_or_else(|| nothing(&id, "undo", "it has no steps"))
            })?;
            show(json!({ "session_id": id, "undone": step, "steps": session.log.len() }), &out)
        }
        Command::Redo { id, out } => {
            let id = store.find(&id)?;
            let (session, step) = store.change(&id, |session| {
                session.redo().cloned().ok_or_else(|| nothing(&id, "redo", "nothing was undone"))
            })?;
            show(json!({ "session_id": id, "redone": step, "steps": session.log.len() }), &out)
        }
        Command::Rerun { id, step, out } => rerun(&store, &id, step, &out.shape(terminal), terminal),
        Command::Report { id, format, out } => {
            let session = store.read(&store.find(&id)?)?;
            match format {
                Format::Json => {
                    let text = report::write(&session, true);
                    let id = session.session_id;
                    show(json!({ "session_id": id, "format": "markdown", "report": text }), &out)
                }
                format => {
                    print(report::write(&session, format == Format::Markdown).as_bytes());
                    Ok(Status::Done)
                }
            }
        }
        Command::Delete { id, out } => {
            let id = store.find(&id)?;
            store.delete(&id)?;
            show(json!({ "status": "deleted", "session_id": id }), &out)
        }
    }
}

fn now() -> String {
    HostClock::default().now().floor_to(Span::from_millis(1)).to_string()
}

fn not_empty(option: &str, text: String) -> Result<String, Problem> {
    if text.trim().is_empty() {
        return Err(Problem::new("usage", format!("'{option}' is empty")).help("say something"));
    }
    Ok(text)
}

fn nothing(id: &str, what: &str, why: &str) -> Fault {
    Problem::new("session", format!("there is nothing to {what} in '{id}': {why}")).into()
}

fn create(
    store: &Store,
    mut texts: Vec<String>,
    db: Option<PathBuf>,
    name: Option<String>,
) -> Result<Value, Fault> {
    if let Some(db) = db {
        texts.insert(0, format!("sqlite:{}", db.display()));
    }
    if texts.is_empty() {
        let problem = Problem::new("usage", "a session needs something to look at");
        return Err(problem.help("name inputs: `logbraid session create 'logs/*.log'`").into());
    }
    let files = texts.iter().map(|text| lasting(text)).collect::<Result<Vec<String>, Problem>>()?;
    // What cannot be read now is a mistake now, and not at the first question.
    inputs::resolve(&files, false)
        .map_err(|error| Problem::new("input", error.message.replace('`', "'")).maybe_help(error.help))?;
    let created_at = now();
    let db_path = files.iter().find_map(|file| {
        let (_, input) = inputs::split_label(file);
        Some(input.strip_prefix("sqlite:")?.to_owned())
    });
    let mut session = Session {
        session_id: String::new(),
        name,
        created_at,
        files,
        db_path,
        status: State::Active,
        log: Vec::new(),
        undone: Vec::new(),
    };
    for attempt in 0..100_u32 {
        let parts = [session.created_at.as_str(), &session.files.join("\n"), &attempt.to_string()];
        session.session_id = format!("sess_{}", &Id::of(&parts).to_string()[..12]);
        if store.create(&session)? {
            let path = store.path(&session.session_id);
            return Ok(json!({
                "session_id": session.session_id, "name": session.name, "created_at": session.created_at,
                "files": session.files, "db_path": session.db_path, "status": session.status, "session_file": path,
            }));
        }
    }
    Err(Fault::Failure("no free session id was found".to_owned()))
}

/// An input as it is understood from any folder, at any later time.
fn lasting(text: &str) -> Result<String, Problem> {
    let (label, input) = inputs::split_label(text);
    let once = |what: &str| {
        Problem::new("input", format!("'{text}': {what} cannot be kept in a session"))
            .help("save what it holds to a file, and name that")
    };
    if input == "-" {
        return Err(once("the standard input"));
    }
    if input.starts_with("http://") || input.starts_with("https://") {
        return Err(once("the window of a running logbraid"));
    }
    let absolute = |path: &str| {
        std::path::absolute(Path::new(path))
            .map_or_else(|_| path.to_owned(), |path| path.display().to_string())
    };
    let input = match (input.strip_prefix("sqlite:"), inputs::scheme(input)) {
        (Some(path), _) => format!("sqlite:{}", absolute(path)),
        (None, Some(_)) => input.to_owned(),
        (None, None) => absolute(input),
    };
    Ok(label.map_or(input.clone(), |label| format!("{label}={input}")))
}

fn list(store: &Store, shape: &Shape) -> Result<Status, Fault> {
    let mut sessions = Vec::new();
    let mut unreadable = 0;
    for id in store.ids()? {
        match store.read(&id) {
            Ok(session) => sessions.push(session),
            Err(_) => unreadable += 1,
        }
    }
    sessions.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.session_id.cmp(&b.session_id)));
    let shown: Vec<Value> = sessions
        .iter()
        .map(|session| {
            let mut shown = json!({
                "session_id": session.session_id, "name": session.name, "created_at": session.created_at,
                "status": session.status, "files_count": session.files.len(), "has_db": session.db_path.is_some(),
                "steps": session.log.len(), "correlation_count": session.correlation_ids().len(),
            });
            if let (None, Some(map)) = (&session.name, shown.as_object_mut()) {
                map.remove("name");
            }
            shown
        })
        .collect();
    let found = !shown.is_empty();
    let mut document = json!({ "sessions": shown });
    if unreadable > 0 {
        document["unreadable"] = json!(unreadable);
    }
    print(write_document(document, shape)?.text.as_bytes());
    Ok(if found { Status::Done } else { Status::NOTHING })
}

/// Asks a question of the session's inputs, and writes it down. Words that begin with no question are a search.
fn query(store: &Store, id: &str, mut words: Vec<String>, terminal: &Terminal) -> Result<Status, Fault> {
    let id = store.find(id)?;
    let session = store.read(&id)?;
    if session.status == State::Concluded {
        // Said before anything is read.
        session.clone().add(String::new(), Action::Note { text: String::new() })?;
    }
    if !Asking::is_question(&words) {
        words.insert(0, "search".to_owned());
    }
    let asking = Asking::new(&words)?;
    let own = asking.inputs().iter().map(|text| lasting(text)).collect::<Result<Vec<String>, Problem>>()?;
    let inputs = if own.is_empty() { session.files.clone() } else { own.clone() };
    let answer = asking.answer(inputs, terminal)?;
    let document = answer.document()?;
    let typed = Typed {
        question: asking.name().to_owned(),
        words,
        request: asking.request()?,
        options: asking.options()?,
        inputs: own,
    };
    let asked = Asked::of(typed, answer.is_found(), &document);
    let (_, step) = store.change(&id, |session| Ok(session.add(now(), Action::Query(Box::new(asked)))?))?;
    print(answer.written(&asking.shape(terminal))?.as_bytes());
    if terminal.stderr {
        tell(&format!("step {step} of {id}\n"));
    }
    Ok(answer.status())
}

/// Asks again what a session asked, and compares the answers.
fn rerun(
    store: &Store,
    id: &str,
    only: Option<usize>,
    shape: &Shape,
    terminal: &Terminal,
) -> Result<Status, Fault> {
    let id = store.find(id)?;
    let session = store.read(&id)?;
    let queries = session.log.iter().filter_map(|step| match &step.action {
        Action::Query(asked) if only.is_none_or(|only| only == step.step) => Some((step.step, asked)),
        _ => None,
    });
    let mut steps = Vec::new();
    let mut same = true;
    for (step, before) in queries {
        let asking = Asking::again(&before.question, &before.request, &before.options)?;
        let inputs = if before.inputs.is_empty() { session.files.clone() } else { before.inputs.clone() };
        let answer = asking.answer(inputs, terminal)?;
        let document = answer.document()?;
        let typed = Typed {
            question: before.question.clone(),
            words: before.words.clone(),
            request: before.request.clone(),
            options: before.options.clone(),
            inputs: before.inputs.clone(),
        };
        let after = Asked::of(typed, answer.is_found(), &document);
        let equal = after.answer == before.answer;
        same &= equal;
        let mut told = json!({ "step": step, "question": report::words(before), "same": equal });
        if !equal {
            let changed = |name: &&String| before.summary.get(*name) != after.summary.get(*name);
            let mut names: Vec<&String> =
                before.summary.keys().chain(after.summary.keys()).filter(changed).collect();
            names.dedup();
            let changes: serde_json::Map<String, Value> = names
                .into_iter()
                .map(|name| {
                    let pair = json!({ "before": before.summary.get(name), "now": after.summary.get(name) });
                    (name.clone(), pair)
                })
                .collect();
            told["changes"] = json!(changes);
        }
        steps.push(told);
    }
    if steps.is_empty() {
        return Err(match only {
            Some(step) => nothing(&id, "ask again", &format!("step {step} is no question")),
            None => nothing(&id, "ask again", "it asked nothing yet"),
        });
    }
    print(write_document(json!({ "session_id": id, "same": same, "steps": steps }), shape)?.text.as_bytes());
    Ok(if same { Status::Done } else { Status::NOTHING })
}
