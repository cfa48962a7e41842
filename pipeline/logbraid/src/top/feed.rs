//! Where the screen's figures come from: the same questions, asked of a window in this process or of one elsewhere.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use logbraid_runtime::admin::{Asked as Question, Questions};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::ask::{Address, Live};
use crate::cli::Fault;
use crate::web::Web;

/// How often figures are asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Changes of the board that are taken at once.
const CHANGES_MAX: usize = 2000;
/// How far back open requests are looked for.
const OPEN_SPAN_MS: i64 = 60_000;
/// Requests by their entries of the last minute; those that are not on the board are open.
const OPEN: &str = "SELECT coalesce(correlation_id, trace_id) AS id, min(timestamp) AS start, max(timestamp) AS last, \
    count(*) AS entries, sum(level >= 'ERROR') AS errors, group_concat(DISTINCT service) AS services FROM logs \
    WHERE coalesce(correlation_id, trace_id) IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 200";

/// Where answers come from.
pub(super) enum Feed {
    /// A run in this process.
    Local { live: Arc<Live>, web: Web },
    /// A running logbraid.
    Remote(Address),
}

/// What the screen asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Any id of a request.
    pub(super) id: String,
    /// Columns of the drawing.
    pub(super) width: usize,
}

/// What the screen is told.
#[derive(Debug)]
pub(super) enum Told {
    /// The figures of this second.
    Figures(Box<Figures>),
    /// One request, drawn.
    Request { id: String, text: String },
    /// Something about the inputs, or about the connection.
    Notice(String),
}

/// Answers as they came.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// How the run is, as `/figures` says.
    pub(super) run: Value,
    /// Changes of the board.
    pub(super) board: Value,
    /// The question `stats`; null without a window.
    pub(super) stats: Value,
    /// The question `triage`; null without a window.
    pub(super) triage: Value,
    /// Requests of the last minute; null without a window.
    pub(super) open: Value,
}

impl Feed {
    /// Tells figures every second and answers in between, until nobody listens.
    pub(super) async fn serve(
        self,
        told: mpsc::Sender<Told>,
        mut asked: mpsc::Receiver<Asked>,
        stop: CancellationToken,
    ) {
        let mut at = 0;
        let mut tick = tokio::time::interval(ASK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let news = tokio::select! {
                () = stop.cancelled() => return,
                Some(asked) = asked.recv() => self.request(asked).await,
                _ = tick.tick() => self.figures(&mut at).await,
            };
            let news = news.unwrap_or_else(|fault| Told::Notice(text_of(fault)));
            if told.send(news).await.is_err() {
                return;
            }
        }
    }

    async fn figures(&self, at: &mut u64) -> Result<Told, Fault> {
        let mut figures = Figures::default();
        (figures.run, figures.board) = match self {
            Self::Local { web, .. } => (web.figures(), parsed(&web.board.since(*at, CHANGES_MAX).to_json())),
            Self::Remote(address) => {
                let board = address.get(&format!("/board?since={at}&most={CHANGES_MAX}")).await?;
                (parsed(&address.get("/figures").await?), parsed(&board))
            }
        };
        *at = figures.board["next"].as_u64().unwrap_or(*at);
        // Without a window there are findings and requests alone.
        if let Ok(stats) = self.ask("stats", json!({ "top": 50 })).await {
            figures.stats = parsed(&stats);
            figures.triage = parsed(&self.ask("triage", json!({})).await?);
            if let Some(watermark) = figures.run["figures"]["watermark_ms"].as_i64() {
                let after = logbraid_core::EventTime::from_nanos(
                    (watermark - OPEN_SPAN_MS).saturating_mul(1_000_000),
                );
                let question = json!({ "query": OPEN, "after": after });
                figures.open = parsed(&self.ask("sql", question).await?);
            }
        }
        Ok(Told::Figures(Box::new(figures)))
    }

    async fn request(&self, Asked { id, width }: Asked) -> Result<Told, Fault> {
        let mut text = String::new();
        for (name, more) in [("hierarchy", json!({ "view": "waterfall" })), ("timeline", json!({}))] {
            let mut question = json!({ "id": id, "output": "pretty", "width": width });
            if let (Some(question), Value::Object(more)) = (question.as_object_mut(), more) {
                question.extend::<Map<String, Value>>(more);
            }
            text.push_str(&self.ask(name, question).await?);
            text.push('\n');
        }
        Ok(Told::Request { id, text })
    }

    async fn ask(&self, name: &str, question: Value) -> Result<String, Fault> {
        match self {
            Self::Remote(address) => Ok(address.question(name, &question).await?.body),
            Self::Local { live, .. } => {
                let body = Some(Bytes::from(question.to_string()));
                let asked = Question { question: name.to_owned(), parameters: Vec::new(), body };
                let reply = live.answer(asked).await;
                if reply.status == 200 {
                    return Ok(reply.body);
                }
                let why = parsed(&reply.body)["message"].as_str().map_or(reply.body, str::to_owned);
                Err(Fault::Failure(why))
            }
        }
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn text_of(fault: Fault) -> String {
    match fault {
        Fault::Mistake(problems) => {
            problems.to_json()["message"].as_str().map_or_else(String::new, str::to_owned)
        }
        Fault::Failure(text) => text,
    }
}
