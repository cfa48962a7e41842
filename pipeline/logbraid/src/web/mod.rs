//! The live page at the admin address, and what it reads beside the questions: findings and requests as they come.
//!
//! ```text
//!  /            the page: files of this binary, the same for everybody
//!  /board       changes after a number, as one document
//!  /figures     how the run is
//!  /events      the same as server-sent events, with the run's figures every second
//! ```

mod events;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use logbraid_runtime::clock::Clock;
use logbraid_runtime::metrics::Metrics;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(crate) use self::events::Clients;
use crate::board::Board;

/// What the paths show.
#[derive(Clone)]
pub(crate) struct Web {
    /// What was found.
    pub(crate) board: Arc<Board>,
    /// How the run is.
    pub(crate) metrics: Arc<Metrics>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
}

/// Changes of one document, at most.
const CHANGES_MAX: usize = 2000;

impl Web {
    /// The paths that show what runs.
    pub(crate) fn doors(self) -> Router {
        Router::new()
            .route("/board", get(board))
            .route("/events", get(events::events))
            .route("/figures", get(async |State(web): State<Self>| json_reply(web.figures().to_string())))
            .with_state(self)
    }

    /// How the run is, in figures.
    pub(crate) fn figures(&self) -> Value {
        let mut figures = Map::new();
        for sample in self.metrics.samples().into_iter().filter(|sample| sample.labels.is_empty()) {
            figures.insert(sample.name, Value::from(sample.value));
        }
        let live = &self.metrics.live;
        for (name, counter) in [
            ("in_events_total", &live.events),
            ("in_bytes_total", &live.bytes),
            ("out_findings_total", &live.findings),
        ] {
            figures.insert(name.to_owned(), Value::from(counter.load(Ordering::Relaxed)));
        }
        let health = self.metrics.read_health();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "now": self.clock.now(),
            "uptime_ms": self.clock.uptime().millis(),
            "started": health.started,
            "troubles": health.troubles,
            "figures": figures,
        })
    }

    /// The page.
    pub(crate) fn pages() -> Router {
        let file = |media_type: &'static str, text: &'static str| {
            get(move || std::future::ready(asset(media_type, text)))
        };
        Router::new()
            .route("/", file("text/html; charset=utf-8", include_str!("page/index.html")))
            .route("/page/style.css", file("text/css; charset=utf-8", include_str!("page/style.css")))
            .route("/page/icon.svg", file("image/svg+xml", include_str!("page/icon.svg")))
            .route("/page/app.js", file(SCRIPT, include_str!("page/app.js")))
            .route("/page/dom.js", file(SCRIPT, include_str!("page/dom.js")))
            .route("/page/lists.js", file(SCRIPT, include_str!("page/lists.js")))
            .route("/page/request.js", file(SCRIPT, include_str!("page/request.js")))
            .route("/page/server.js", file(SCRIPT, include_str!("page/server.js")))
    }
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
/// Nothing from elsewhere, nothing inline: what a log contains cannot become a script even if it became markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn asset(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version may answer at this address tomorrow.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// Where to go on, and how far.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    since: u64,
    most: usize,
    only: Only,
}

/// What is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Only {
    #[default]
    All,
    Findings,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { since: 0, most: CHANGES_MAX, only: Only::All }
    }
}

async fn board(State(web): State<Web>, Query(wanted): Query<Wanted>) -> Response {
    let most = wanted.most.clamp(1, CHANGES_MAX);
    let changes = match wanted.only {
        Only::All => web.board.since(wanted.since, most),
        Only::Findings => web.board.findings_since(wanted.since, most),
    };
    json_reply(changes.to_json())
}

fn json_reply(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
