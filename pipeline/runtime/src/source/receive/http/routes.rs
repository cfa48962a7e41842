//! What is answered at which path.

use std::sync::Arc;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};
use serde_json::json;

use super::super::door::Held;
use super::super::status::add;
use super::body::{self, Encoding};
use super::{Shared, bulk, grpc, journal, lines, otlp};

pub(super) type Answer = Response<Full<Bytes>>;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) reason: String,
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

pub(super) fn json_answer(status: u16, body: Bytes) -> Answer {
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
    Journal,
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
        "/upload" => Route::Journal,
        path => match path.strip_suffix("/_bulk").and_then(|path| path.strip_prefix('/')) {
            Some(index) if !index.contains('/') => Route::Bulk(index.to_owned()),
            _ => {
                let help = "send lines to `/`, Elasticsearch's bulk format to `/_bulk`, OTLP logs to `/v1/logs`, \
                            or a journal to `/upload`";
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
pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
) -> Response<Either<Full<Bytes>, grpc::Body>> {
    add(&shared.door.status.requests, 1);
    if grpc::is_meant(&request) {
        return grpc::answer(shared, request).await.map(Either::Right);
    }
    let (head, http2) = (request.method() == Method::HEAD, request.version() == Version::HTTP_2);
    let mut answer = match serve(shared, request).await {
        Ok(answer) => answer,
        Err(problem) => {
            count(shared, &problem);
            problem.answer()
        }
    };
    if http2 {
        // There a request ends for itself, and the connection has no header.
        answer.headers_mut().remove(CONNECTION);
    }
    if head { answer.map(|_| Either::Left(Full::default())) } else { answer.map(Either::Left) }
}

/// Counts a refusal.
pub(super) fn count(shared: &Shared, problem: &Problem) {
    let status = &shared.door.status;
    match problem.status {
        408 => add(&status.timeouts, 1),
        // Counted where it was refused.
        429 => {}
        _ => add(&status.refused, 1),
    }
}

/// What a body is, in small letters and without parameters.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the sender shows the token, where one is asked for.
pub(super) fn admit(shared: &Shared, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(token) = &shared.config.token else { return Ok(()) };
    let given = headers.get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
    if crate::admin::same(given, token.reveal().as_bytes()) {
        return Ok(());
    }
    Err(Problem::new(401, "send `Authorization: Bearer TOKEN` with the token of the source".into()))
}

/// Reads a body of at most `limit` bytes, and what `understand` makes of it.
pub(super) async fn read<T: Send + 'static>(
    shared: &Shared,
    incoming: Incoming,
    limit: usize,
    understand: impl FnOnce(Vec<u8>, &mut Held) -> Result<T, Problem> + Send + 'static,
) -> Result<(T, Held), Problem> {
    let busy = |problem: &Problem| add(&shared.door.status.busy, u64::from(problem.status == 429));
    let mut held = shared.door.hold();
    let read = tokio::time::timeout(shared.config.timeout.to_std(), body::read(incoming, limit, &mut held));
    let Ok(read) = read.await else {
        return Err(Problem::new(408, format!("the body did not arrive within {}", shared.config.timeout)));
    };
    let bytes = read.inspect_err(busy)?;
    // Bodies may be large: other connections are served meanwhile.
    let worked = tokio::task::spawn_blocking(move || understand(bytes, &mut held).map(|made| (made, held)));
    let worked = worked.await;
    worked
        .unwrap_or_else(|error| Err(Problem::new(500, format!("not understood: {error}"))))
        .inspect_err(busy)
}

async fn serve(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (head, incoming) = request.into_parts();
    admit(shared, &head.headers)?;
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
        Route::Journal => return journal::receive(shared, &head.headers, incoming).await,
        route => route,
    };
    let encoding = Encoding::of(&head.headers)?;
    let format = match route {
        Route::Otlp => Some(otlp::Format::of(&head.headers)?),
        _ => None,
    };
    let json = lines::is_json(&head.headers);
    let limit = shared.limit();
    let (received, sender) = (shared.door.now(), shared.door.sender());
    let understand = move |bytes, held: &mut Held| {
        let body = &body::decode(bytes, encoding, limit, held)?;
        match (&route, format) {
            (_, Some(format)) => {
                otlp::read(body, format, limit, received).map(|logs| Understood::Otlp(logs, format))
            }
            (Route::Bulk(index), _) => bulk::read(body, index, received).map(Understood::Bulk),
            _ => lines::read(body, json, received, sender).map(Understood::Lines),
        }
    };
    let (understood, mut held) = read(shared, incoming, limit, understand).await?;
    match understood {
        Understood::Lines(lines) => {
            drop(held);
            let count = lines.count();
            shared.door.keep(lines).await?;
            Ok(json_answer(200, Bytes::from(format!("{{\"accepted\":{count}}}\n"))))
        }
        Understood::Otlp(logs, format) => {
            drop(held);
            let answered = logs.keep(&shared.door, format).await?;
            let mut answer = json_answer(200, Bytes::from(answered));
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

enum Understood {
    Lines(super::super::lines::Lines),
    Bulk(bulk::Bulk),
    Otlp(otlp::Logs, otlp::Format),
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
