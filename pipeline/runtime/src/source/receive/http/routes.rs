//! What is answered at which path.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::super::door::Held;
use super::super::status::add;
use super::body::{self, Encoding};
use super::{Shared, bulk, lines, otlp};

pub(super) type Answer = Response<Full<Bytes>>;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Problem {
    status: u16,
    reason: String,
}

impl Problem {
    pub(super) const fn new(status: u16, reason: String) -> Self {
        Self { status, reason }
    }
    /// In the form in which Elasticsearch refuses, which its clients understand and people can read.
    fn answer(&self) -> Answer {
        let kind = match self.status {
            401 => "security_exception",
            429 => "es_rejected_execution_exception",
            404 | 405 => "no_handler_found_exception",
            503 => "unavailable_exception",
            _ => "illegal_argument_exception",
        };
        let body = json!({ "error": { "type": kind, "reason": self.reason }, "status": self.status });
        let mut answer = json_answer(self.status, Bytes::from(format!("{body}\n")));
        let mut set = |name, value| answer.headers_mut().insert(name, HeaderValue::from_static(value));
        match self.status {
            401 => set(WWW_AUTHENTICATE, "Bearer"),
            405 => set(ALLOW, "POST, PUT"),
            429 | 503 => set(RETRY_AFTER, "1"),
            _ => None,
        };
        // What was not read of the body must not be taken for the next request.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer
    }
}

fn json_answer(status: u16, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Clients of Elasticsearch do not speak to what does not carry this.
    headers.insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    answer
}

/// What a path asks for.
enum Route {
    Lines,
    /// With the index of items that name none.
    Bulk(String),
    Otlp,
    About,
    Health,
}

fn route(method: &Method, path: &str) -> Result<Route, Problem> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let route = match path {
        "/" if reads => return Ok(Route::About),
        "/_cluster/health" if reads => return Ok(Route::Health),
        "/" => Route::Lines,
        "/_bulk" => Route::Bulk("logs".to_owned()),
        "/v1/logs" => Route::Otlp,
        path => match path.strip_suffix("/_bulk").and_then(|path| path.strip_prefix('/')) {
            Some(index) if !index.contains('/') => Route::Bulk(index.to_owned()),
            _ => {
                let help =
                    "send lines to `/`, Elasticsearch's bulk format to `/_bulk`, or OTLP logs to `/v1/logs`";
                return Err(Problem::new(404, format!("there is nothing at this path; {help}")));
            }
        },
    };
    if matches!(*method, Method::POST | Method::PUT) {
        Ok(route)
    } else {
        Err(Problem::new(405, format!("`{method}` is not possible here; send lines with POST")))
    }
}

/// Answers one request.
pub(super) async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    let status = &shared.door.status;
    add(&status.requests, 1);
    let head = request.method() == Method::HEAD;
    let answered = match serve(shared, request).await {
        Ok(answer) => answer,
        Err(problem) => {
            match problem.status {
                408 => add(&status.timeouts, 1),
                // Counted where it was refused.
                429 => {}
                _ => add(&status.refused, 1),
            }
            problem.answer()
        }
    };
    if head { answered.map(|_| Full::default()) } else { answered }
}

async fn serve(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (head, incoming) = request.into_parts();
    if let Some(token) = &shared.config.token {
        let given = head.headers.get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
        if !crate::admin::same(given.strip_prefix(b"Bearer ").unwrap_or_default(), token.reveal().as_bytes())
        {
            return Err(Problem::new(
                401,
                "send `Authorization: Bearer TOKEN` with the token of the source".into(),
            ));
        }
    }
    let route = match route(&head.method, head.uri.path())? {
        Route::About => {
            let about = json!({
                "name": "logbraid", "cluster_name": "logbraid", "tagline": "You Know, for Search",
                "version": { "number": "8.11.0", "build_flavor": "default" },
            });
            return Ok(json_answer(200, Bytes::from(format!("{about}\n"))));
        }
        Route::Health => {
            return Ok(json_answer(200, Bytes::from_static(b"{\"status\":\"green\",\"timed_out\":false}\n")));
        }
        route => route,
    };
    let encoding = Encoding::of(&head.headers)?;
    let format = match route {
        Route::Otlp => Some(otlp::Format::of(&head.headers)?),
        _ => None,
    };
    let json = lines::is_json(&head.headers);
    let limit = usize::try_from(shared.config.body.bytes()).unwrap_or(usize::MAX);
    let mut held = shared.door.hold();
    let read = tokio::time::timeout(shared.config.timeout.to_std(), body::read(incoming, limit, &mut held));
    let bytes = match read.await {
        Ok(read) => read.inspect_err(|problem| count_busy(shared, problem))?,
        Err(_) => {
            return Err(Problem::new(
                408,
                format!("the body did not arrive within {}", shared.config.timeout),
            ));
        }
    };
    let (received, sender) = (shared.door.now(), shared.door.sender());
    let work = move || {
        understand(bytes, encoding, limit, &mut held, |body| match (&route, format) {
            (_, Some(format)) => {
                otlp::read(body, format, limit, received).map(|logs| Understood::Otlp(logs, format))
            }
            (Route::Bulk(index), _) => bulk::read(body, index, received).map(Understood::Bulk),
            _ => lines::read(body, json, received, sender).map(Understood::Lines),
        })
        .map(|understood| (understood, held))
    };
    // Bodies may be large: other connections are served meanwhile.
    let worked = tokio::task::spawn_blocking(work).await;
    let worked = worked.unwrap_or_else(|error| Err(Problem::new(500, format!("not understood: {error}"))));
    let (understood, mut held) = worked.inspect_err(|problem| count_busy(shared, problem))?;
    match understood {
        Understood::Lines(lines) => {
            drop(held);
            let count = lines.count();
            shared.door.keep(lines).await?;
            Ok(json_answer(200, Bytes::from(format!("{{\"accepted\":{count}}}\n"))))
        }
        Understood::Otlp(mut logs, format) => {
            drop(held);
            shared.door.keep(std::mem::take(&mut logs.lines)).await?;
            add(&shared.door.status.refused, logs.refused());
            let mut answer = json_answer(200, Bytes::from(logs.answer(format)));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
            Ok(answer)
        }
        Understood::Bulk(bulk::Bulk { lines, errors, items }) => {
            held.grow(items.len()).inspect_err(|_| add(&shared.door.status.busy, 1))?;
            shared.door.keep(lines).await?;
            let text = format!("{{\"took\":0,\"errors\":{errors},\"items\":{items}}}\n");
            Ok(json_answer(200, Bytes::from_owner(Reply { text, _held: held })))
        }
    }
}

fn count_busy(shared: &Shared, problem: &Problem) {
    if problem.status == 429 {
        add(&shared.door.status.busy, 1);
    }
}

enum Understood {
    Lines(super::super::lines::Lines),
    Bulk(bulk::Bulk),
    Otlp(otlp::Logs, otlp::Format),
}

fn understand(
    bytes: Vec<u8>,
    encoding: Encoding,
    limit: usize,
    held: &mut Held,
    read: impl FnOnce(&[u8]) -> Result<Understood, Problem>,
) -> Result<Understood, Problem> {
    let bytes = body::decode(bytes, encoding, limit, held)?;
    read(&bytes)
}

/// A long answer, whose memory is given back when it was sent.
struct Reply {
    text: String,
    _held: Held,
}

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}
